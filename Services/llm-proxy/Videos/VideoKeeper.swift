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
    /// False while no report can be sent.
    let canReport: @Sendable () -> Bool

    /// The answers of one provider that a replica waits for at once.
    private static let atOnce = 8

    var jobs: [Job] {
        [
            Job("video reports", every: .seconds(5)) { try await reportDue() },
            Job("videos", every: .seconds(1), within: .seconds(300)) { try await followDue() },
            Job("old videos", every: .seconds(3_600), leader: store.pool) { try await store.deleteOld() },
        ]
    }

    /// A replica that cannot report leaves the holds to the others.
    func reportDue() async throws {
        guard canReport() else { return }
        for hold in try await store.claimReports() { report(hold) }
    }

    func followDue() async throws {
        let due = Dictionary(grouping: try await store.claimDue(), by: \.provider.name)
        await withTaskGroup(of: Void.self) { group in
            for claims in due.values { group.addTask(executorPreference: providers.loop) { await follow(claims) } }
        }
    }

    /// Follows the jobs of one provider. One that does not answer is not asked for the rest of them.
    private func follow(_ claims: [ClaimVideos.Output]) async {
        await withTaskGroup(of: Bool.self) { group in
            var running = 0
            for claim in claims {
                if running == Self.atOnce {
                    guard await group.next() ?? true else { break }
                    running -= 1
                }
                group.addTask(executorPreference: providers.loop) { await follow(claim) }
                running += 1
            }
        }
    }

    /// - Returns: false if the provider did not answer.
    private func follow(_ claim: ClaimVideos.Output) async -> Bool {
        do {
            guard let id = claim.job.providerJob else {
                log.warning("video not begun", ["charge.id": .describing(claim.job.charge), "provider": .string(claim.provider.name)])
                try await end(claim.job, .failed, because: "the provider began no video")
                return true
            }
            let progress = await progress(of: id, claim)
            // A question that this process gave up says nothing about the video.
            try Task.checkCancellation()
            try await conclude(claim, try? progress.get())
            return !progress.isSilence
        } catch {
            log.warning("video not stored", ["charge.id": .describing(claim.job.charge)], error: error)
            return true
        }
    }

    private func conclude(_ claim: ClaimVideos.Output, _ progress: VideoProgress?) async throws {
        var job = claim.job
        job.answer = progress?.answer ?? job.answer
        switch progress?.outcome {
        case .completed?: return try await end(job, .completed, because: "the video is complete")
        case .failed?: return try await end(job, .failed, because: "the provider reported a failure")
        case .running? where !claim.isOverdue: _ = try await store.note(job)
        case .running?, nil: break
        }
        guard claim.isOverdue else { return }
        log.error("video lost", ["charge.id": .describing(job.charge), "provider": .string(job.call.provider)])
        try await end(job, .lost, because: "no outcome within a day")
    }

    private func progress(of id: String, _ claim: ClaimVideos.Output) async -> Result<VideoProgress, ProviderFailure> {
        do throws(ProviderFailure) {
            return .success(try await providers.video(id, of: claim.provider))
        } catch {
            log.warning(
                "video not followed",
                [
                    "charge.id": .describing(claim.job.charge), "provider": .string(claim.provider.name),
                    "reason": .string(error.description),
                ])
            return .failure(error)
        }
    }

    private func end(_ job: VideoJob, _ state: VideoJob.State, because reason: String) async throws {
        if try await store.end(job, state, answer: job.answer, because: reason) { keepReceipt(job.receipt(state)) }
    }
}

extension Result<VideoProgress, ProviderFailure> {
    /// True if the provider said nothing, so that the next question would wait in vain too.
    fileprivate var isSilence: Bool {
        guard case .failure(let failure) = self else { return false }
        return [.unreachable, .timedOut, .saturated, .cancelled].contains(failure.kind)
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
