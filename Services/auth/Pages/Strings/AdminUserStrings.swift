import Web

/// The texts of `/admin/users` and the pages below.
struct AdminUserStrings {
    let language: Language

    // MARK: The list

    var title: String { language(en: "Users", th: "ผู้ใช้") }
    var search: String { language(en: "Search", th: "ค้นหา") }
    var searchHint: String {
        language(en: "The beginning of an email address, or an id.", th: "ส่วนต้นของที่อยู่อีเมล หรือรหัสผู้ใช้")
    }
    var find: String { language(en: "Find", th: "ค้นหา") }
    func noMatch(_ text: String) -> String {
        language(en: "No address begins with “\(text)”, and no user has this id.", th: "ไม่มีที่อยู่อีเมลที่ขึ้นต้นด้วย “\(text)” และไม่มีผู้ใช้ที่มีรหัสนี้")
    }
    var noMore: String { language(en: "There are no further users.", th: "ไม่มีผู้ใช้เพิ่มเติม") }
    var showAll: String { language(en: "Show all users", th: "แสดงผู้ใช้ทั้งหมด") }

    // MARK: A user

    var address: String { language(en: "Email", th: "อีเมล") }
    var confirmed: String { language(en: "confirmed", th: "ยืนยันแล้ว") }
    var unconfirmed: String { language(en: "not confirmed", th: "ยังไม่ได้ยืนยัน") }
    var name: String { language(en: "Name", th: "ชื่อ") }
    var plan: String { language(en: "Plan", th: "แพ็กเกจ") }
    var role: String { language(en: "Role", th: "บทบาท") }
    var state: String { language(en: "State", th: "สถานะ") }
    var registered: String { language(en: "Registered", th: "สมัครเมื่อ") }
    var pages: String { language(en: "Language and time zone", th: "ภาษาและเขตเวลา") }
    var id: String { language(en: "Id", th: "รหัส") }
    var none: String { "–" }

    func tag(_ role: User.Role) -> HTML {
        switch role {
        case .admin: Web.tag(language(en: "Administrator", th: "ผู้ดูแลระบบ"))
        case .user: HTML(language(en: "User", th: "ผู้ใช้"))
        }
    }

    func tag(isActive: Bool) -> HTML {
        Web.tag(isActive ? language(en: "Active", th: "ใช้งานอยู่") : language(en: "Deactivated", th: "ปิดใช้งาน"), isWarning: !isActive)
    }

    var sessions: String { language(en: "Sessions", th: "เซสชัน") }
    var noSessions: String { language(en: "The user is signed in nowhere.", th: "ผู้ใช้ไม่ได้เข้าสู่ระบบที่ใดเลย") }
    var audit: String { language(en: "Audit trail", th: "บันทึกการตรวจสอบ") }
    var wholeAudit: String { language(en: "Show the whole audit trail", th: "แสดงบันทึกการตรวจสอบทั้งหมด") }

    // MARK: Acts

    var own: String {
        language(
            en: "This is your own account. Only another administrator can change its state, its role and its sessions here.",
            th: "นี่คือบัญชีของคุณเอง เฉพาะผู้ดูแลระบบคนอื่นเท่านั้นที่เปลี่ยนสถานะ บทบาท และเซสชันของบัญชีนี้ที่นี่ได้")
    }
    var ownTitle: String { language(en: "This is your own account", th: "นี่คือบัญชีของคุณเอง") }
    var credits: String { language(en: "Credits and transactions", th: "เครดิตและรายการ") }
    var back: String { language(en: "Back to the user", th: "กลับไปหน้าผู้ใช้") }

    func name(of act: AdminAct) -> String {
        switch act {
        case .endSessions: language(en: "End all sessions", th: "ยุติเซสชันทั้งหมด")
        case .makeAdmin: language(en: "Make administrator", th: "ตั้งเป็นผู้ดูแลระบบ")
        case .makeUser: language(en: "Remove administrator role", th: "ถอนสิทธิ์ผู้ดูแลระบบ")
        case .deactivate: language(en: "Deactivate", th: "ปิดใช้งาน")
        case .reactivate: language(en: "Reactivate", th: "เปิดใช้งานอีกครั้ง")
        }
    }

    func title(of act: AdminAct) -> String {
        switch act {
        case .endSessions: language(en: "End all sessions of this user?", th: "ยุติเซสชันทั้งหมดของผู้ใช้นี้หรือไม่?")
        case .makeAdmin: language(en: "Make this user an administrator?", th: "ตั้งผู้ใช้นี้เป็นผู้ดูแลระบบหรือไม่?")
        case .makeUser: language(en: "Remove the administrator role?", th: "ถอนสิทธิ์ผู้ดูแลระบบหรือไม่?")
        case .deactivate: language(en: "Deactivate this account?", th: "ปิดใช้งานบัญชีนี้หรือไม่?")
        case .reactivate: language(en: "Reactivate this account?", th: "เปิดใช้งานบัญชีนี้อีกครั้งหรือไม่?")
        }
    }

    func consequence(of act: AdminAct) -> String {
        switch act {
        case .endSessions:
            language(
                en: "Browsers, apps and devices are signed out at once, and the user must sign in again. API keys keep working.",
                th: "เบราว์เซอร์ แอป และอุปกรณ์จะออกจากระบบทันที และผู้ใช้ต้องเข้าสู่ระบบใหม่ คีย์ API ยังใช้ได้ตามเดิม")
        case .makeAdmin:
            language(
                en: "An administrator sees every account, and can deactivate users and make other administrators.",
                th: "ผู้ดูแลระบบเห็นทุกบัญชี ปิดใช้งานผู้ใช้ และตั้งผู้ดูแลระบบคนอื่นได้")
        case .makeUser:
            language(
                en: "The user keeps the account, and cannot open the pages of administrators any more.",
                th: "ผู้ใช้ยังมีบัญชีตามเดิม แต่เปิดหน้าของผู้ดูแลระบบไม่ได้อีก")
        case .deactivate:
            language(
                en:
                    "The user is signed out everywhere at once, and cannot sign in. API keys of the account are refused. You can reactivate the account later.",
                th: "ผู้ใช้จะออกจากระบบทุกที่ทันทีและเข้าสู่ระบบไม่ได้ คีย์ API ของบัญชีจะใช้ไม่ได้ คุณเปิดใช้งานบัญชีอีกครั้งได้ภายหลัง")
        case .reactivate:
            language(
                en: "The user can sign in again, and the API keys of the account work again. Sessions that have ended stay ended.",
                th: "ผู้ใช้จะเข้าสู่ระบบได้อีกครั้ง และคีย์ API ของบัญชีจะใช้ได้อีก เซสชันที่สิ้นสุดแล้วจะไม่กลับมา")
        }
    }

    func done(_ act: AdminAct) -> String {
        switch act {
        case .endSessions: language(en: "All sessions have ended.", th: "เซสชันทั้งหมดสิ้นสุดแล้ว")
        case .makeAdmin: language(en: "The user is an administrator now.", th: "ผู้ใช้นี้เป็นผู้ดูแลระบบแล้ว")
        case .makeUser: language(en: "The user is no administrator any more.", th: "ถอนสิทธิ์ผู้ดูแลระบบแล้ว")
        case .deactivate: language(en: "The account is deactivated.", th: "ปิดใช้งานบัญชีแล้ว")
        case .reactivate: language(en: "The account is active again.", th: "เปิดใช้งานบัญชีอีกครั้งแล้ว")
        }
    }
}
