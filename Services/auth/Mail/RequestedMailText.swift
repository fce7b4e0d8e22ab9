import Contracts
import Values

/// The texts of the mails that other services ask for.
extension RequestedMail {
    /// Returns subject and text in English.
    /// - Parameter publicURL: `PUBLIC_URL`, without a slash at its end.
    func english(_ publicURL: String) -> (subject: String, text: String) {
        switch self {
        case .lowBalance(let balance, let level):
            (
                "Your SmartSpec credits are running low",
                """
                The balance of your SmartSpec account is \(Self.amount(balance)). It fell below \(Self.amount(level)).

                Buy credits before your calls are refused:
                \(publicURL)/buy

                \(Self.englishEnd(publicURL))
                """
            )
        case .balanceExhausted(let balance):
            (
                "Your SmartSpec credits are used up",
                """
                The balance of your SmartSpec account is \(Self.amount(balance)). Calls that cost more are refused.

                Buy credits to continue:
                \(publicURL)/buy

                \(Self.englishEnd(publicURL))
                """
            )
        }
    }

    private static func amount(_ credits: Credits) -> String { credits.cut == Credits(whole: 1) ? "1 credit" : "\(credits.cut) credits" }

    private static func englishEnd(_ publicURL: String) -> String {
        """
        You can switch these mails off, or change the level, in your settings:
        \(publicURL)/settings
        """
    }

    /// Returns subject and text in Thai.
    /// - Parameter publicURL: `PUBLIC_URL`, without a slash at its end.
    func thai(_ publicURL: String) -> (subject: String, text: String) {
        switch self {
        case .lowBalance(let balance, let level):
            (
                "เครดิต SmartSpec ของคุณใกล้หมด",
                """
                ยอดคงเหลือของบัญชี SmartSpec ของคุณคือ \(balance.cut) เครดิต ซึ่งต่ำกว่าระดับแจ้งเตือน \(level.cut) เครดิต

                โปรดซื้อเครดิตก่อนที่การเรียกใช้ของคุณจะถูกปฏิเสธ:
                \(publicURL)/buy

                \(Self.thaiEnd(publicURL))
                """
            )
        case .balanceExhausted(let balance):
            (
                "เครดิต SmartSpec ของคุณหมดแล้ว",
                """
                ยอดคงเหลือของบัญชี SmartSpec ของคุณคือ \(balance.cut) เครดิต การเรียกใช้ที่มีราคาสูงกว่านี้จะถูกปฏิเสธ

                โปรดซื้อเครดิตเพื่อใช้งานต่อ:
                \(publicURL)/buy

                \(Self.thaiEnd(publicURL))
                """
            )
        }
    }

    private static func thaiEnd(_ publicURL: String) -> String {
        """
        คุณปิดอีเมลนี้หรือเปลี่ยนระดับแจ้งเตือนได้ในการตั้งค่าของคุณ:
        \(publicURL)/settings
        """
    }
}

extension Credits {
    /// The amount with at most 4 fraction digits. It is cut and not rounded, so that a mail shows no
    /// more credits than there are.
    fileprivate var cut: Credits { Credits(nano: nano - nano % 100_000) }
}
