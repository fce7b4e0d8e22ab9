import Web

/// The texts of the tables that say what a call is charged for. Words between backticks are code.
struct ChargeStrings {
    let language: Language

    typealias Text = (what: String, charged: String)

    private var nothing: String { language(en: "Nothing", th: "ไม่คิดเครดิต") }
    private var delivered: String { language(en: "The prompt and what you got", th: "พรอมต์และส่วนที่คุณได้รับแล้ว") }
    private var whole: String { language(en: "The prompt and the answer", th: "พรอมต์และคำตอบ") }

    func text(of rule: ChargeRule) -> Text {
        switch rule {
        case .complete: (language(en: "The answer is complete.", th: "ได้คำตอบครบถ้วน"), whole)
        case .completeAfterLeaving:
            (
                language(
                    en: "You closed the connection, and the answer was complete nevertheless.",
                    th: "คุณปิดการเชื่อมต่อไปแล้ว แต่คำตอบเสร็จสมบูรณ์"), whole
            )
        case .streamStopped:
            (
                language(
                    en: "A stream stopped after its first token: you closed the connection, or the provider failed, stopped "
                        + "sending, or sent for more than an hour.",
                    th: "สตรีมหยุดหลังโทเค็นแรก เพราะคุณปิดการเชื่อมต่อ หรือผู้ให้บริการขัดข้อง หยุดส่ง หรือส่งนานเกินหนึ่งชั่วโมง"), delivered
            )
        case .streamOutOfCredits:
            (
                language(
                    en: "A stream stopped because your credits or your spending limit were used up.",
                    th: "สตรีมหยุดเพราะเครดิตหรือวงเงินที่คุณตั้งไว้หมด"), delivered
            )
        case .leftBeforeAnswer:
            (
                language(en: "You closed the connection before the answer began.", th: "คุณปิดการเชื่อมต่อก่อนคำตอบเริ่ม"),
                language(en: "See the next table", th: "ดูตารางถัดไป")
            )
        case .providerFailed:
            (
                language(
                    en: "The provider refused the call, could not be reached, or took too long to begin.",
                    th: "ผู้ให้บริการปฏิเสธการเรียกใช้ ติดต่อไม่ได้ หรือใช้เวลานานเกินไปก่อนเริ่มตอบ"), nothing
            )
        case .answerCut:
            (
                language(
                    en: "An answer without streaming broke off on its way to us, or has more than 64 megabytes.",
                    th: "คำตอบแบบไม่สตรีมขาดหายระหว่างทาง หรือมีขนาดเกิน 64 เมกะไบต์"),
                language(en: "Nothing, because you got none of it", th: "ไม่คิดเครดิต เพราะคุณไม่ได้รับคำตอบเลย")
            )
        case .answerUnusable:
            (
                language(
                    en: "The provider sent something else than you asked for. You get the error `provider_error`.",
                    th: "ผู้ให้บริการส่งสิ่งที่ไม่ตรงกับคำขอ คุณจะได้รับข้อผิดพลาด `provider_error`"), nothing
            )
        case .streamUnfinished:
            (
                language(
                    en: "A stream ended without its end mark, or with an error of the provider.",
                    th: "สตรีมจบโดยไม่มีเครื่องหมายจบ หรือจบด้วยข้อผิดพลาดของผู้ให้บริการ"),
                language(
                    en: "The prompt and what you got; nothing before the first token",
                    th: "พรอมต์และส่วนที่คุณได้รับแล้ว หากยังไม่มีโทเค็นแรก จะไม่คิดเครดิต")
            )
        case .noOutput:
            (
                language(en: "The answer is empty.", th: "คำตอบว่างเปล่า"),
                language(
                    en: "Nothing, not even the minimum; the prompt, if the provider wrote it into its cache for you",
                    th: "ไม่คิดเครดิต แม้แต่ขั้นต่ำ แต่คิดพรอมต์หากผู้ให้บริการเก็บพรอมต์ลงแคชให้คุณ")
            )
        case .embeddings:
            (
                language(en: "Embeddings", th: "เวกเตอร์ฝังตัว (`embeddings`)"),
                language(en: "The prompt; nothing without a vector", th: "พรอมต์ หากไม่ได้เวกเตอร์ จะไม่คิดเครดิต")
            )
        case .transcriptions:
            (
                language(en: "Transcriptions", th: "การถอดเสียงเป็นข้อความ"),
                language(
                    en: "Each 30 seconds that have begun, or tokens; nothing without a word",
                    th: "ทุก 30 วินาทีที่เริ่มแล้ว หรือตามโทเค็น หากไม่ได้ข้อความ จะไม่คิดเครดิต")
            )
        case .pictures:
            (
                language(en: "Pictures, and edits of pictures", th: "การสร้างและแก้ไขภาพ"),
                language(
                    en: "The pictures that came, at most as many as you asked for",
                    th: "ภาพที่ได้รับ ไม่เกินจำนวนที่คุณขอ")
            )
        case .speech:
            (
                language(en: "Speech that is sold by characters or calls", th: "เสียงพูดที่คิดตามอักขระหรือตามครั้ง"),
                language(
                    en: "Its text from the first byte of sound on, even if you leave then; nothing if the provider breaks it off",
                    th: "ข้อความทั้งหมดเมื่อเสียงเริ่มส่ง แม้คุณออกไปก่อน หากผู้ให้บริการหยุดกลางคัน จะไม่คิดเครดิต")
            )
        case .videos:
            (
                language(en: "Videos", th: "วิดีโอ"),
                language(
                    en: "The whole price once the video is complete; nothing if it fails or is not there within a day",
                    th: "ราคาเต็มเมื่อวิดีโอเสร็จ หากล้มเหลวหรือไม่เสร็จภายในหนึ่งวัน จะไม่คิดเครดิต")
            )
        case .refused:
            (
                language(
                    en: "We refused the call (status 400, 401, 402, 403, 404 or 503).",
                    th: "เราปฏิเสธการเรียกใช้ (สถานะ 400, 401, 402, 403, 404 หรือ 503)"),
                language(en: "Nothing. The provider did not get it.", th: "ไม่คิดเครดิต และไม่มีการส่งต่อให้ผู้ให้บริการ")
            )
        case .notConfirmed:
            (
                language(
                    en: "Status 503, `ledger_unavailable`, with a `charge_id`", th: "สถานะ 503 `ledger_unavailable` พร้อม `charge_id`"),
                language(
                    en: "The answer may be charged. Your transactions show it under its `charge_id`.",
                    th: "อาจมีการคิดเครดิตสำหรับคำตอบ ดูได้ในรายการของคุณตาม `charge_id`")
            )
        case .gatewayFailed:
            (
                language(en: "Our gateway failed during the call.", th: "เกตเวย์ของเราขัดข้องระหว่างการเรียกใช้"),
                language(
                    en: "What it reported last, which it does every few seconds; nothing before its first report",
                    th: "ตามยอดที่รายงานไว้ทุกไม่กี่วินาทีจนถึงตอนนั้น หากยังไม่มีรายงานแรก จะไม่คิดเครดิต")
            )
        case .reading: (language(en: "You look at models, balance or transactions.", th: "คุณดูโมเดล ยอดเครดิต หรือรายการ"), nothing)
        case .ownServers:
            (
                language(en: "One of our own apps calls a model for you.", th: "แอปของเราเรียกใช้โมเดลแทนคุณ"),
                language(
                    en: "The same as a call of yours, unless the app is free", th: "เหมือนกับที่คุณเรียกใช้เอง เว้นแต่แอปนั้นใช้ได้ฟรี")
            )
        }
    }

    func text(of rule: EarlyLeaveRule) -> Text {
        switch rule {
        case .complete: (language(en: "A complete answer", th: "คำตอบครบถ้วน"), language(en: "What it used", th: "ตามที่ใช้จริง"))
        case .failed: (language(en: "A refusal or a failure of the provider", th: "ผู้ให้บริการปฏิเสธหรือขัดข้อง"), nothing)
        case .notSent:
            (
                language(en: "The provider did not receive the whole request.", th: "ผู้ให้บริการไม่ได้รับคำขอครบถ้วน"), nothing
            )
        case .providerSilent:
            (
                language(
                    en: "The provider has answered no call for 30 seconds or longer.",
                    th: "ผู้ให้บริการไม่ตอบการเรียกใช้ใดเลยตั้งแต่ 30 วินาทีขึ้นไป"), nothing
            )
        case .otherwise:
            (
                language(en: "Anything else", th: "กรณีอื่น"),
                language(
                    en: "The prompt, and what the provider reported; nothing for pictures and speech that are not sold by tokens",
                    th: "พรอมต์และยอดที่ผู้ให้บริการรายงาน ส่วนภาพและเสียงพูดที่ไม่ได้คิดตามโทเค็น จะไม่คิดเครดิต")
            )
        }
    }
}
