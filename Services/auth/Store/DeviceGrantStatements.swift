import Postgres
import Values

/// Returns nothing if a pending grant has the same user code.
struct InsertDeviceGrant: Statement {
    static let sql = """
        INSERT INTO device_grant (
            id, device_code_sha256, user_code_hmac, client_id, scope, device_name, ip, network, user_agent, state, poll_interval_ms,
            created_at, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'pending', $10, $11, $12)
        ON CONFLICT DO NOTHING
        RETURNING id
        """
    var grant: DeviceGrant
    var deviceCodeSHA256: [UInt8]
    var userCodeHMAC: [UInt8]

    func bind(_ parameters: inout Parameters) {
        parameters.append(grant.id)
        parameters.append(deviceCodeSHA256)
        parameters.append(userCodeHMAC)
        parameters.append(grant.clientID)
        parameters.append(grant.scope)
        parameters.append(grant.deviceName)
        parameters.append(grant.requestedBy.address)
        parameters.append(grant.requestedBy.network)
        parameters.append(grant.requestedBy.userAgent)
        parameters.append(grant.pollInterval.wholeMilliseconds)
        parameters.append(grant.createdAt)
        parameters.append(grant.expiresAt)
    }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> DeviceGrantID { try row.next() }
}

/// Reads the grant of a device code. The row stays locked until the transaction ends.
struct LockDeviceGrant: Statement {
    static let sql = """
        SELECT \(DeviceGrant.columns)
        FROM device_grant
        WHERE device_code_sha256 = $1
        FOR UPDATE
        """
    var deviceCodeSHA256: [UInt8]

    func bind(_ parameters: inout Parameters) { parameters.append(deviceCodeSHA256) }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> DeviceGrant { try DeviceGrant(&row) }
}

/// Reads the newest grant of a user code that has not expired.
struct FindDeviceGrant: Statement {
    static let sql = """
        SELECT \(DeviceGrant.columns)
        FROM device_grant
        WHERE user_code_hmac = ANY ($1) AND expires_at > $2
        ORDER BY created_at DESC
        LIMIT 1
        """
    var userCodeHMACs: [[UInt8]]
    var now: Instant

    func bind(_ parameters: inout Parameters) {
        parameters.append(userCodeHMACs)
        parameters.append(now)
    }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> DeviceGrant { try DeviceGrant(&row) }
}

/// Notes a poll. Changes no row if the grant was decided meanwhile.
struct PollDeviceGrant: Statement {
    static let sql = """
        UPDATE device_grant
        SET poll_interval_ms = $2, last_polled_at = $3, slowed_at = $4
        WHERE id = $1 AND state = 'pending'
        """
    var grant: DeviceGrant

    func bind(_ parameters: inout Parameters) {
        parameters.append(grant.id)
        parameters.append(grant.pollInterval.wholeMilliseconds)
        parameters.append(grant.lastPolledAt)
        parameters.append(grant.slowedAt)
    }
}

/// Approves or denies a grant. Changes no row if another decision came first, or it has expired.
struct DecideDeviceGrant: Statement {
    static let sql = """
        UPDATE device_grant
        SET state = $2, user_id = $3, token_version = $4, decided_at = $5, decided_ip = $6
        WHERE id = $1 AND state = 'pending' AND expires_at > $5
        """
    var id: DeviceGrantID
    var state: DeviceGrant.State
    var decision: DeviceGrant.Decision
    var now: Instant
    var client: ClientInfo

    func bind(_ parameters: inout Parameters) {
        parameters.append(id)
        parameters.append(state.rawValue)
        parameters.append(decision.userID)
        parameters.append(decision.tokenVersion)
        parameters.append(now)
        parameters.append(client.address)
    }
}

/// Redeems an approved grant for a session. Changes no row if it was redeemed before, or has expired.
struct RedeemDeviceGrant: Statement {
    static let sql = """
        UPDATE device_grant
        SET state = 'redeemed', session_id = $2, redeemed_at = $3
        WHERE id = $1 AND state = 'approved' AND expires_at > $3
        """
    var id: DeviceGrantID
    var session: SessionID
    var now: Instant

    func bind(_ parameters: inout Parameters) {
        parameters.append(id)
        parameters.append(session)
        parameters.append(now)
    }
}

/// Deletes at most ten thousand rows, so that a backlog locks nothing for long.
struct SweepDeviceGrants: Statement {
    static let sql = """
        DELETE FROM device_grant
        WHERE id IN (
            SELECT id
            FROM device_grant
            WHERE expires_at < $1
            ORDER BY expires_at
            LIMIT 10000
            FOR UPDATE SKIP LOCKED
        )
        """
    var expiredBefore: Instant
    func bind(_ parameters: inout Parameters) { parameters.append(expiredBefore) }
}

extension DeviceGrant {
    fileprivate static let columns = """
        id, client_id, scope, device_name, ip, network, user_agent, state, user_id, token_version, session_id, redeemed_at,
            poll_interval_ms, last_polled_at, slowed_at, created_at, expires_at
        """

    fileprivate init(_ row: inout RowReader) throws(PostgresError) {
        id = try row.next()
        clientID = try row.next()
        scope = try row.next()
        deviceName = try row.next()
        requestedBy = ClientInfo(address: try row.next(), network: try row.next(), userAgent: try row.next())
        let stateName: String = try row.next()
        guard let state = State(rawValue: stateName) else {
            throw PostgresError(.typeMismatch, "device_grant.state holds no state: \(stateName)")
        }
        self.state = state
        let user: UserID? = try row.next()
        let version: Int64? = try row.next()
        decision = user.flatMap { user in version.map { Decision(userID: user, tokenVersion: $0) } }
        sessionID = try row.next()
        redeemedAt = try row.next()
        pollInterval = .milliseconds(try row.next(Int64.self))
        lastPolledAt = try row.next()
        slowedAt = try row.next()
        createdAt = try row.next()
        expiresAt = try row.next()
    }
}
