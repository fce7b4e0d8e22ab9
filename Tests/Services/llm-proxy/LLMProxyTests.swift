import Testing

@testable import LLMProxy
