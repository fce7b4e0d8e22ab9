import Testing

@testable import UpstreamClient
