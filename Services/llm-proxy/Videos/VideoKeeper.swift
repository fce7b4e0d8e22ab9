import Contracts
import EventLoop
import Jobs
import Telemetry
import Values

/// Follows the jobs of all replicas: reports their holds each minute, asks their providers, and ends
/// them. Each replica runs it; a row is claimed by one at a time, and another one takes over if that
/// one dies.
struct VideoKeeper: Sendable {
    let store: VideoStore
    let providers: ProviderConnections
    /// Prolongs a hold. It returns at once.
    let report: @Sendable (ClaimVideoReports.Output) -> Void
    let keepReceipt: @Sendable (Receipt) -> Void
    let log: Logger

    /// The providers' answers that a replica waits for at once.
    private static let atOnce = 8

    var jobs: [Job] {
        [
            Job("video reports", every: .seconds(5)) { try await reportDue() },
            Job("videos", every: .seconds(1), within: .seconds(300)) { try await followDue() },
            Job("old videos", every: .seconds(3_600), leader: store.pool) { try await store.deleteOld() },
        ]
    }

    func reportDue() async throws { for hold in try await store.claimReports() { report(hold) } }

    func followDue() async throws {
        let due = try await store.claimDue()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (index, claim) in due.enumerated() {
                if index >= Self.atOnce { try await group.next() }
                group.addTask(executorPreference: providers.loop) { try await follow(claim) }
            }
            try await group.waitForAll()
        }
    }

    private func follow(_ claim: ClaimVideos.Output) async throws {
        var job = claim.job
        guard let id = job.providerJob else {
            log.warning("video not begun", ["charge.id": .describing(job.charge), "provider": .string(job.call.provider)])
            return try await end(job, .failed, because: "the provider began no video")
        }
        let progress = await progress(of: id, claim)
        job.answer = progress?.answer ?? job.answer
        switch progress?.outcome {
        case .completed?: return try await end(job, .completed, because: "the video is complete")
        case .failed?: return try await end(job, .failed, because: "the provider reported a failure")
        case .running? where !claim.isOverdue: return try await store.note(job)
        case .running?, nil: break
        }
        guard claim.isOverdue else { return }
        log.error("video lost", ["charge.id": .describing(job.charge), "provider": .string(job.call.provider)])
        try await end(job, .lost, because: "no outcome within a day")
    }

    private func progress(of id: String, _ claim: ClaimVideos.Output) async -> VideoProgress? {
        do throws(ProviderFailure) {
            return try await providers.video(id, of: claim.provider)
        } catch {
            log.warning(
                "video not followed",
                [
                    "charge.id": .describing(claim.job.charge), "provider": .string(claim.provider.name),
                    "reason": .string(error.description),
                ])
            return nil
        }
    }

    private func end(_ job: VideoJob, _ state: VideoJob.State, because reason: String) async throws {
        if try await store.end(job, state, answer: job.answer, because: reason) { keepReceipt(job.receipt(state)) }
    }
}

extension LedgerClient {
    /// Prolongs the hold of a running job.
    func prolong(_ hold: ClaimVideoReports.Output) {
        report(
            hold.charge, of: hold.account, usedSoFar: .zero, timeToLive: VideoJob.holdTimeToLive,
            in: MessageContext(conversationID: hold.conversation, trace: TraceContext.current ?? .new()))
    }
}

extension VideoJob {
    /// Returns the receipt of a job that ended.
    func receipt(_ state: State, at now: Instant = .now()) -> Receipt {
        var call = call
        if state != .completed {
            (call.usage, call.costPicoUSD, call.end) = ([:], nil, state == .lost ? .timedOut : .providerError)
        }
        return Receipt(
            charge: charge, account: account, call: call, requestID: conversation.description, providerRequestID: providerJob,
            isStream: false, isSkipped: isSkipped, held: isSkipped ? .zero : amount,
            price: isSkipped || state != .completed ? .zero : amount, startedAt: createdAt, firstTokenMilliseconds: nil,
            durationMilliseconds: max(0, (now - createdAt).wholeMilliseconds))
    }
}
