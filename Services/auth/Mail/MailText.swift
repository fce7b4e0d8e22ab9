/// The languages of mails. Another locale gets English.
enum MailLanguage: Sendable {
    case english
    case thai

    init(locale: String) { self = locale == "th" ? .thai : .english }
}

extension MailTemplate {
    /// Subject and text of the mail.
    /// - Parameters:
    ///   - link: the address of the page behind the one-time link; empty without one.
    ///   - publicURL: `PUBLIC_URL`, for links to other pages.
    func text(_ language: MailLanguage, link: String, publicURL: String) -> (subject: String, text: String) {
        switch language {
        case .english: english(link, publicURL)
        case .thai: thai(link, publicURL)
        }
    }

    private func english(_ link: String, _ publicURL: String) -> (subject: String, text: String) {
        switch self {
        case .requested(let mail): mail.english(publicURL)
        case .verifyEmail:
            (
                "Confirm your email address",
                """
                Welcome to SmartSpec.

                Confirm that this address is yours within a day:
                \(link)

                If you did not register, ignore this mail.
                """
            )
        case .changeEmail:
            (
                "Confirm your new email address",
                """
                You asked to use this address for your SmartSpec account.

                Confirm it within an hour:
                \(link)

                If you did not ask for this, ignore this mail.
                """
            )
        case .resetPassword:
            (
                "Choose a new password",
                """
                A new password was asked for your SmartSpec account.

                Choose it within an hour:
                \(link)

                If you did not ask for this, ignore this mail. Your password stays as it is.
                """
            )
        case .passwordChanged:
            (
                "Your password was changed",
                """
                The password of your SmartSpec account was changed, and all other sign-ins have ended.

                If this was not you, ask for a new password at once: "Forgot your password?" on the sign-in page.
                """
            )
        case .emailChanged:
            (
                "Your email address was changed",
                """
                Your SmartSpec account has another email address now. Mails go there from now on.

                If this was not you, write to our support at once.
                """
            )
        case .identityLinked(let provider):
            (
                "\(provider) is connected to your account",
                """
                You can sign in to your SmartSpec account with \(provider) from now on.

                If this was not you, choose a new password at once, and disconnect \(provider) in your settings:
                \(publicURL)/settings
                """
            )
        case .identityUnlinked(let provider):
            (
                "\(provider) is disconnected from your account",
                """
                You can no longer sign in to your SmartSpec account with the disconnected account at \(provider).

                If this was not you, choose a new password: "Forgot your password?" on the sign-in page.
                """
            )
        }
    }

    private func thai(_ link: String, _ publicURL: String) -> (subject: String, text: String) {
        switch self {
        case .requested(let mail): mail.thai(publicURL)
        case .verifyEmail:
            (
                "ยืนยันที่อยู่อีเมลของคุณ",
                """
                ยินดีต้อนรับสู่ SmartSpec

                โปรดยืนยันว่าที่อยู่นี้เป็นของคุณภายในหนึ่งวัน:
                \(link)

                หากคุณไม่ได้ลงทะเบียน โปรดละเว้นอีเมลนี้
                """
            )
        case .changeEmail:
            (
                "ยืนยันที่อยู่อีเมลใหม่ของคุณ",
                """
                คุณขอใช้ที่อยู่นี้กับบัญชี SmartSpec ของคุณ

                โปรดยืนยันภายในหนึ่งชั่วโมง:
                \(link)

                หากคุณไม่ได้ขอ โปรดละเว้นอีเมลนี้
                """
            )
        case .resetPassword:
            (
                "ตั้งรหัสผ่านใหม่",
                """
                มีการขอตั้งรหัสผ่านใหม่ของบัญชี SmartSpec ของคุณ

                โปรดตั้งรหัสผ่านภายในหนึ่งชั่วโมง:
                \(link)

                หากคุณไม่ได้ขอ โปรดละเว้นอีเมลนี้ รหัสผ่านของคุณจะไม่เปลี่ยน
                """
            )
        case .passwordChanged:
            (
                "รหัสผ่านของคุณถูกเปลี่ยนแล้ว",
                """
                รหัสผ่านของบัญชี SmartSpec ของคุณถูกเปลี่ยน และการเข้าสู่ระบบอื่นทั้งหมดสิ้นสุดแล้ว

                หากไม่ใช่คุณ โปรดขอตั้งรหัสผ่านใหม่ทันทีที่หน้าเข้าสู่ระบบ
                """
            )
        case .emailChanged:
            (
                "ที่อยู่อีเมลของคุณถูกเปลี่ยนแล้ว",
                """
                บัญชี SmartSpec ของคุณใช้ที่อยู่อีเมลอื่นแล้ว อีเมลต่อจากนี้จะส่งไปที่นั่น

                หากไม่ใช่คุณ โปรดติดต่อฝ่ายสนับสนุนของเราทันที
                """
            )
        case .identityLinked(let provider):
            (
                "เชื่อมต่อ \(provider) กับบัญชีของคุณแล้ว",
                """
                ต่อจากนี้คุณเข้าสู่ระบบบัญชี SmartSpec ของคุณด้วย \(provider) ได้

                หากไม่ใช่คุณ โปรดขอตั้งรหัสผ่านใหม่ทันทีที่หน้าเข้าสู่ระบบ และยกเลิกการเชื่อมต่อ \(provider) ในการตั้งค่าของคุณ:
                \(publicURL)/settings
                """
            )
        case .identityUnlinked(let provider):
            (
                "ยกเลิกการเชื่อมต่อ \(provider) กับบัญชีของคุณแล้ว",
                """
                คุณไม่สามารถเข้าสู่ระบบบัญชี SmartSpec ของคุณด้วยบัญชี \(provider) ที่ยกเลิกการเชื่อมต่อได้อีก

                หากไม่ใช่คุณ โปรดขอตั้งรหัสผ่านใหม่ทันทีที่หน้าเข้าสู่ระบบ
                """
            )
        }
    }
}
