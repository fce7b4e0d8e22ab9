import Testing

@testable import Bootstrap
