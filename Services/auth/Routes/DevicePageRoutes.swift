import HTTP
import Identity
import Text
import Web

/// The page by which a person connects a device.
extension Routes {
    /// `user_code` of a device, or `done=approved|denied`. Without them the page asks for the code.
    func showDevice(_ request: Request, caller: Principal) async throws -> Response {
        let pages = DevicePages(viewer: await viewer(request, caller))
        switch request.query["done"] {
        case "approved": return pages.connected()
        case "denied": return pages.refused()
        default: break
        }
        guard let code = request.query["user_code"] else { return pages.askCode() }
        return try await findDevice(FormInput(["user_code": code]), pages, request, caller)
    }

    /// A form {user_code, action: find | approve | deny}.
    func submitDevice(_ request: Request, caller: Principal) async throws -> Response {
        let sent = try FormInput(request)
        let viewer = await viewer(request, caller)
        let pages = DevicePages(viewer: viewer)
        let approves: Bool
        switch sent["action"] {
        case "find": return try await findDevice(sent, pages, request, caller)
        case "approve": approves = true
        case "deny": approves = false
        default: throw Problem.invalidRequest("`action` must be find, approve or deny.", param: "action")
        }
        switch try await devices.decide(sent["user_code"], approve: approves, by: caller.userID, client: ClientInfo(request)) {
        case .decided: return viewer.seeOther(Link("/auth/device").with("done", approves ? "approved" : "denied"))
        case .invalid: return refuse(sent, DeviceStrings(language: viewer.language).wrong, pages, status: 400)
        case .conflict: return pages.conflict()
        case .throttled(let wait):
            return refuse(sent, DeviceStrings(language: viewer.language).tooMany(wait: viewer.length(wait)), pages, status: 429)
                .retry(after: wait)
        case .deactivated: throw Problem.userDeactivated
        }
    }

    private func findDevice(
        _ sent: FormInput, _ pages: DevicePages, _ request: Request, _ caller: Principal
    ) async throws -> Response {
        let strings = DeviceStrings(language: pages.viewer.language)
        let code = sent["user_code"].trimmed
        guard !code.isEmpty else { return refuse(sent, strings.codeMissing, pages, status: 400) }
        switch try await devices.lookUp(code, user: caller.userID, client: ClientInfo(request)) {
        case .found(let device):
            // The language switch leads back to the device.
            return DevicePages(viewer: pages.viewer.at(Link("/auth/device").with("user_code", code))).confirm(device)
        case .invalid: return refuse(sent, strings.wrong, pages, status: 400)
        case .throttled(let wait):
            return refuse(sent, strings.tooMany(wait: pages.viewer.length(wait)), pages, status: 429).retry(after: wait)
        }
    }

    private func refuse(_ sent: FormInput, _ message: String, _ pages: DevicePages, status: Int) -> Response {
        var sent = sent
        sent.refuse("user_code", message)
        return pages.askCode(sent, status: status)
    }
}
