import Web

/// The texts of sign-in with a provider.
struct OpenIDStrings {
    let language: Language

    func proceed(_ provider: String) -> String { language(en: "Continue with \(provider)", th: "ดำเนินการต่อด้วย \(provider)") }

    // MARK: Signing in

    func visitorTitle(_ provider: String) -> String { language(en: "Use \(provider)?", th: "ใช้ \(provider) หรือไม่?") }
    var visitorQuestion: String {
        language(
            en: "Another website sent you here. Continue only if you want to sign in to SmartSpec.",
            th: "เว็บไซต์อื่นส่งคุณมาที่นี่ โปรดดำเนินการต่อเฉพาะเมื่อคุณต้องการเข้าสู่ระบบ SmartSpec")
    }
    var failedTitle: String { language(en: "You are not signed in", th: "ยังไม่ได้เข้าสู่ระบบ") }
    func addressTaken(_ provider: String) -> String {
        language(
            en:
                "A SmartSpec account has the address of your \(provider) account. Sign in to it, then connect \(provider) in its settings.",
            th: "มีบัญชี SmartSpec ที่ใช้ที่อยู่อีเมลเดียวกับบัญชี \(provider) ของคุณ โปรดเข้าสู่ระบบ แล้วเชื่อมต่อ \(provider) ในหน้าตั้งค่า")
    }
    func noAddress(_ provider: String) -> String {
        language(
            en: "\(provider) did not share an email address that we can use. Create an account with an address instead.",
            th: "\(provider) ไม่ได้ให้ที่อยู่อีเมลที่ใช้ได้ โปรดสร้างบัญชีด้วยที่อยู่อีเมลแทน")
    }
    func refused(_ provider: String) -> String {
        language(
            en: "You did not allow \(provider) to sign you in. Nothing has changed.",
            th: "คุณไม่ได้อนุญาตให้เข้าสู่ระบบด้วย \(provider) ไม่มีการเปลี่ยนแปลงใด ๆ")
    }
    func providerFailed(_ provider: String) -> String {
        language(
            en: "\(provider) does not answer as expected. Try again later, or sign in with your password.",
            th: "\(provider) ไม่ตอบตามที่ควร โปรดลองอีกครั้งภายหลัง หรือเข้าสู่ระบบด้วยรหัสผ่าน")
    }
    var againTitle: String { SignInStrings(language: language).againTitle }
    func notAskedAgain(_ provider: String) -> String {
        language(
            en: "\(provider) did not ask you to sign in again. Sign in with your password.",
            th: "\(provider) ไม่ได้ขอให้คุณเข้าสู่ระบบอีกครั้ง โปรดเข้าสู่ระบบด้วยรหัสผ่าน")
    }
    var signInByPassword: String { language(en: "Sign in with your password", th: "เข้าสู่ระบบด้วยรหัสผ่าน") }
    var setPassword: String { language(en: "No password yet? Set one.", th: "ยังไม่มีรหัสผ่าน? ตั้งรหัสผ่าน") }
    var invalidAttempt: String {
        language(
            en: "This sign-in is not valid: it was used before, has expired, or began in another browser. Begin again.",
            th: "การเข้าสู่ระบบนี้ใช้ไม่ได้ อาจถูกใช้ไปแล้ว หมดอายุ หรือเริ่มจากเบราว์เซอร์อื่น โปรดเริ่มใหม่")
    }
    var signIn: String { language(en: "Back to the sign-in", th: "กลับไปหน้าเข้าสู่ระบบ") }

    // MARK: Connecting

    var providers: String { language(en: "Other ways to sign in", th: "วิธีเข้าสู่ระบบอื่น") }
    var providersUse: String {
        language(
            en: "Connect an account that you have elsewhere, and sign in with it.", th: "เชื่อมต่อบัญชีที่คุณมีอยู่ที่อื่น แล้วใช้เข้าสู่ระบบได้")
    }
    var connected: String { language(en: "connected", th: "เชื่อมต่อเมื่อ") }
    var lastUsed: String { language(en: "last used", th: "ใช้ล่าสุด") }
    var unlink: String { language(en: "Disconnect", th: "ยกเลิกการเชื่อมต่อ") }
    func linkTitle(_ provider: String) -> String { language(en: "Connect \(provider)?", th: "เชื่อมต่อ \(provider) หรือไม่?") }
    func linkQuestion(_ account: String) -> String {
        language(en: "You can then sign in to SmartSpec with \(account).", th: "จากนั้นคุณจะเข้าสู่ระบบ SmartSpec ด้วย \(account) ได้")
    }
    var link: String { language(en: "Connect", th: "เชื่อมต่อ") }
    var linked: String {
        language(
            en: "The account is connected. You can sign in with it from now on.", th: "เชื่อมต่อบัญชีแล้ว คุณเข้าสู่ระบบด้วยบัญชีนี้ได้ตั้งแต่ตอนนี้")
    }
    var notLinkedTitle: String { language(en: "Not connected", th: "ไม่ได้เชื่อมต่อ") }
    var linkedToAnother: String {
        language(
            en: "It is connected to another SmartSpec account. Disconnect it there first.",
            th: "บัญชีนี้เชื่อมต่อกับบัญชี SmartSpec อื่นอยู่ โปรดยกเลิกการเชื่อมต่อที่นั่นก่อน")
    }
    func tooMany(_ count: Int) -> String {
        language(
            en: "An account has at most \(count) of them. Disconnect one first.",
            th: "บัญชีหนึ่งเชื่อมต่อได้ไม่เกิน \(count) รายการ โปรดยกเลิกหนึ่งรายการก่อน")
    }
    var linkExpired: String {
        language(
            en: "You waited too long, or signed in again meanwhile. Begin again.", th: "คุณรอนานเกินไป หรือเข้าสู่ระบบใหม่ในระหว่างนั้น โปรดเริ่มใหม่")
    }
    func unlinkTitle(_ provider: String) -> String {
        language(en: "Disconnect \(provider)?", th: "ยกเลิกการเชื่อมต่อ \(provider) หรือไม่?")
    }
    func unlinkQuestion(_ account: String) -> String {
        language(
            en: "You can then no longer sign in to SmartSpec with \(account).", th: "จากนั้นคุณจะเข้าสู่ระบบ SmartSpec ด้วย \(account) ไม่ได้อีก")
    }
    var unlinked: String {
        language(
            en: "The account is disconnected. You can no longer sign in with it.",
            th: "ยกเลิกการเชื่อมต่อบัญชีแล้ว คุณเข้าสู่ระบบด้วยบัญชีนี้ไม่ได้อีก")
    }
    var notUnlinkedTitle: String { language(en: "Not disconnected", th: "ไม่ได้ยกเลิกการเชื่อมต่อ") }
    var lastWayIn: String {
        language(
            en: "It is the only way to sign in to your account. Set a password or connect another one first.",
            th: "นี่เป็นทางเดียวที่ใช้เข้าสู่บัญชีของคุณ โปรดตั้งรหัสผ่านหรือเชื่อมต่อวิธีอื่นก่อน")
    }
    var notConnected: String { language(en: "Your account is not connected to it.", th: "บัญชีของคุณไม่ได้เชื่อมต่อกับรายการนี้") }
    var settings: String { language(en: "Back to the settings", th: "กลับไปหน้าตั้งค่า") }
}
