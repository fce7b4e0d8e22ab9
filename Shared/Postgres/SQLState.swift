/// The five characters by which a server names an error (PostgreSQL manual, appendix A).
package struct SQLState: Hashable, Sendable, CustomStringConvertible {
    package let code: String

    package init(_ code: String) { self.code = code }

    package var description: String { code }

    /// Also of a kept plan that would return other columns than before.
    package static let featureNotSupported = SQLState("0A000")
    package static let readOnlyTransaction = SQLState("25006")
    /// A kept statement is unknown to the connection.
    package static let invalidStatementName = SQLState("26000")
    package static let uniqueViolation = SQLState("23505")
    /// Also of a row that no partition takes; then the error names no constraint.
    package static let checkViolation = SQLState("23514")
    package static let serializationFailure = SQLState("40001")
    package static let deadlockDetected = SQLState("40P01")
    package static let diskFull = SQLState("53100")
    package static let tooManyConnections = SQLState("53300")
    /// A lock was not free, or not within `lock_timeout`.
    package static let lockNotAvailable = SQLState("55P03")
    /// `statement_timeout`, or an operator's cancellation.
    package static let queryCanceled = SQLState("57014")
    package static let ioError = SQLState("58030")

    /// The kind of an error, which its first two characters name.
    package enum Class: String, Sendable {
        case connectionException = "08"
        case dataException = "22"
        case integrityConstraintViolation = "23"
        case accessRuleViolation = "42"
        case insufficientResources = "53"
        case programLimitExceeded = "54"
        case systemError = "58"
        case raisedException = "P0"
    }

    /// Nil for a class that needs no treatment of its own.
    package var errorClass: Class? { Class(rawValue: String(code.prefix(2))) }

    /// True if a statement's kept plan is of no use any more. Preparing it again helps.
    package var isStalePlan: Bool { self == .featureNotSupported || self == .invalidStatementName }

    /// True while a server stops, starts or ends its connections (57P01 to 57P05).
    package var isShutdown: Bool { code.hasPrefix("57P0") }
}
