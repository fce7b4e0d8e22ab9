import Web

/// The texts of the audit trail.
struct AuditStrings {
    let language: Language

    var caption: String { language(en: "Audit trail", th: "บันทึกการตรวจสอบ") }
    var when: String { language(en: "When", th: "เมื่อ") }
    var what: String { language(en: "What", th: "เหตุการณ์") }
    var from: String { language(en: "From", th: "จาก") }
    var failed: String { language(en: "failed", th: "ไม่สำเร็จ") }
    /// The place of an act that no client asked for.
    var gateway: String { language(en: "the gateway itself", th: "ตัวระบบเอง") }
    var empty: String { language(en: "Nothing is recorded.", th: "ไม่มีบันทึก") }

    func name(of subject: AuditRecord.Subject) -> String {
        switch subject {
        case .session: language(en: "Session", th: "เซสชัน")
        case .provider: language(en: "Provider", th: "ผู้ให้บริการ")
        case .deviceRequest: language(en: "Request", th: "คำขอ")
        case .key: language(en: "Key", th: "คีย์")
        case .administrator: language(en: "Administrator", th: "ผู้ดูแลระบบ")
        case .user: language(en: "User", th: "ผู้ใช้")
        }
    }

    func text(of event: AuditRecord.Event) -> String {
        switch event {
        case .register: language(en: "Registration", th: "สมัครบัญชี")
        case .login: language(en: "Sign-in", th: "เข้าสู่ระบบ")
        case .refreshReuse:
            language(en: "Session ended: its refresh token was used twice", th: "สิ้นสุดเซสชัน เพราะมีการใช้โทเค็นรีเฟรชซ้ำ")
        case .logout: language(en: "Sign-out", th: "ออกจากระบบ")
        case .profileChanged: language(en: "Profile changed", th: "แก้ไขโปรไฟล์")
        case .emailVerified: language(en: "Email address confirmed", th: "ยืนยันที่อยู่อีเมล")
        case .emailChangeAsked: language(en: "Change of the email address requested", th: "ขอเปลี่ยนที่อยู่อีเมล")
        case .linkRefused: language(en: "A link of a mail refused by its reader", th: "ผู้รับอีเมลปฏิเสธลิงก์")
        case .emailChanged: language(en: "Email address changed", th: "เปลี่ยนที่อยู่อีเมล")
        case .passwordForgotten: language(en: "New password requested", th: "ขอตั้งรหัสผ่านใหม่")
        case .passwordReset: language(en: "New password set by mail", th: "ตั้งรหัสผ่านใหม่ทางอีเมล")
        case .passwordChanged: language(en: "Password changed", th: "เปลี่ยนรหัสผ่าน")
        case .sessionEnded: language(en: "Session ended", th: "สิ้นสุดเซสชัน")
        case .otherSessionsEnded: language(en: "All other sessions ended", th: "สิ้นสุดเซสชันอื่นทั้งหมด")
        case .userDeactivated: language(en: "Deactivated by an administrator", th: "ผู้ดูแลระบบปิดใช้งานบัญชีนี้")
        case .userReactivated: language(en: "Reactivated by an administrator", th: "ผู้ดูแลระบบเปิดใช้งานบัญชีนี้อีกครั้ง")
        case .userMadeAdmin: language(en: "Made administrator by an administrator", th: "ผู้ดูแลระบบตั้งบัญชีนี้เป็นผู้ดูแลระบบ")
        case .userMadeUser: language(en: "Administrator role removed by an administrator", th: "ผู้ดูแลระบบถอนสิทธิ์ผู้ดูแลระบบของบัญชีนี้")
        case .userSessionsEnded: language(en: "All sessions ended by an administrator", th: "ผู้ดูแลระบบสิ้นสุดเซสชันทั้งหมดของบัญชีนี้")
        case .adminDeactivatedUser: language(en: "Deactivated another account", th: "ปิดใช้งานบัญชีอื่น")
        case .adminReactivatedUser: language(en: "Reactivated another account", th: "เปิดใช้งานบัญชีอื่นอีกครั้ง")
        case .adminMadeAdmin: language(en: "Made another user administrator", th: "ตั้งผู้ใช้อื่นเป็นผู้ดูแลระบบ")
        case .adminMadeUser: language(en: "Removed the administrator role of another user", th: "ถอนสิทธิ์ผู้ดูแลระบบของผู้ใช้อื่น")
        case .adminEndedSessions: language(en: "Ended all sessions of another user", th: "สิ้นสุดเซสชันทั้งหมดของผู้ใช้อื่น")
        case .planChanged: language(en: "Plan changed", th: "เปลี่ยนแพ็กเกจ")
        case .deviceApproved: language(en: "Device allowed", th: "อนุญาตอุปกรณ์")
        case .deviceDenied: language(en: "Device refused", th: "ปฏิเสธอุปกรณ์")
        case .deviceRedeemed: language(en: "Device signed in", th: "อุปกรณ์เข้าสู่ระบบ")
        case .deviceCodeReplayed:
            language(en: "Session ended: the code of its device was used twice", th: "สิ้นสุดเซสชัน เพราะมีการใช้รหัสของอุปกรณ์ซ้ำ")
        case .openIDLogin: language(en: "Sign-in with a provider", th: "เข้าสู่ระบบด้วยผู้ให้บริการ")
        case .identityLinked: language(en: "Provider connected", th: "เชื่อมต่อผู้ให้บริการ")
        case .identityUnlinked: language(en: "Provider disconnected", th: "ยกเลิกการเชื่อมต่อผู้ให้บริการ")
        case .apiKeyCreated: language(en: "API key created", th: "สร้างคีย์ API")
        case .apiKeyRevoked: language(en: "API key revoked", th: "เพิกถอนคีย์ API")
        case .signingKeyChanged: language(en: "Signing key changed", th: "เปลี่ยนคีย์ลงนาม")
        case .adminBootstrapped: language(en: "Made the first administrator", th: "ตั้งเป็นผู้ดูแลระบบคนแรก")
        }
    }
}
