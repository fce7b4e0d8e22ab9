import Testing

/// The promise, held by the whole stack: real servers, real processes, killed for real. One suite after the other.
@Suite(.serialized) enum SystemTests {}
