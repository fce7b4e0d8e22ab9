import Web

/// The texts of `/auth/device`.
struct DeviceStrings {
    let language: Language

    var enterTitle: String { language(en: "Connect a device", th: "เชื่อมต่ออุปกรณ์") }
    var enterIntro: String { language(en: "Enter the code that your app shows.", th: "กรอกรหัสที่แอปของคุณแสดง") }
    var code: String { language(en: "Code", th: "รหัส") }
    var codeHint: String { language(en: "Eight letters and digits, like WDJB-MJH7.", th: "ตัวอักษรและตัวเลขแปดตัว เช่น WDJB-MJH7") }
    var proceed: String { language(en: "Continue", th: "ดำเนินการต่อ") }
    var codeMissing: String { language(en: "Enter the code that your app shows.", th: "กรอกรหัสที่แอปของคุณแสดง") }
    var wrong: String {
        language(
            en: "We found no device with this code. Check it, or ask the app for a new one: a code works for 10 minutes.",
            th: "ไม่พบอุปกรณ์ที่ใช้รหัสนี้ โปรดตรวจสอบ หรือขอรหัสใหม่จากแอป รหัสใช้ได้ 10 นาที")
    }
    func tooMany(wait: String) -> String {
        language(en: "Too many wrong codes. Wait \(wait), then try again.", th: "กรอกรหัสผิดหลายครั้งเกินไป โปรดรอ \(wait) แล้วลองอีกครั้ง")
    }

    var title: String { language(en: "Connect this device?", th: "เชื่อมต่ออุปกรณ์นี้หรือไม่?") }
    var check: String { language(en: "Check that this code is the one your app shows.", th: "ตรวจสอบว่ารหัสนี้ตรงกับที่แอปของคุณแสดง") }
    var app: String { language(en: "App", th: "แอป") }
    var unknownApp: String { language(en: "An app that is no longer known", th: "แอปที่ไม่รู้จักแล้ว") }
    var callsItself: String { language(en: "Calls itself", th: "ชื่อที่แจ้ง") }
    var noName: String { "–" }
    var from: String { language(en: "From", th: "จาก") }
    var thisNetwork: String { language(en: "your network", th: "เครือข่ายของคุณ") }
    var otherNetwork: String { language(en: "not your network", th: "ไม่ใช่เครือข่ายของคุณ") }
    var unknownAddress: String { language(en: "unknown", th: "ไม่ทราบ") }
    var asked: String { language(en: "Asked", th: "ขอเมื่อ") }
    func expires(in time: String) -> String { language(en: "expires in \(time)", th: "หมดอายุใน \(time)") }
    var may: String { language(en: "It may", th: "ทำได้") }
    var mayNot: String { language(en: "It may not", th: "ทำไม่ได้") }
    var forbidden: String {
        language(en: "buy credits, change your password, make API keys", th: "ซื้อเครดิต เปลี่ยนรหัสผ่าน สร้างคีย์ API")
    }
    var connect: String { language(en: "Connect", th: "เชื่อมต่อ") }
    var refuse: String { language(en: "This is not me", th: "ไม่ใช่ฉัน") }
    var warning: String {
        language(
            en: "Only continue if you started this on your own device. SmartSpec never sends you such a code.",
            th: "ดำเนินการต่อเฉพาะเมื่อคุณเริ่มจากอุปกรณ์ของคุณเอง SmartSpec ไม่เคยส่งรหัสเช่นนี้ให้คุณ")
    }

    var connectedTitle: String { language(en: "The device is connected", th: "เชื่อมต่ออุปกรณ์แล้ว") }
    var connected: String {
        language(
            en: "Go back to your app. You will find the device among your sessions, and can end it there.",
            th: "กลับไปที่แอปของคุณ อุปกรณ์จะอยู่ในรายการเซสชัน และคุณยุติได้ที่นั่น")
    }
    var sessions: String { language(en: "See my sessions", th: "ดูเซสชันของฉัน") }
    var refusedTitle: String { language(en: "The device is refused", th: "ปฏิเสธอุปกรณ์แล้ว") }
    var refused: String {
        language(
            en: "It gets nothing. If somebody sent you the code, they wanted to get into your account.",
            th: "อุปกรณ์จะไม่ได้รับสิทธิ์ใด ๆ หากมีผู้ส่งรหัสให้คุณ ผู้นั้นต้องการเข้าบัญชีของคุณ")
    }
    var conflictTitle: String { language(en: "You already answered this request", th: "คำขอนี้ได้รับคำตอบแล้ว") }
    var conflict: String { language(en: "Ask the app for a new code.", th: "ขอรหัสใหม่จากแอป") }
}

/// The rights that scopes give, in the words of a page.
struct ScopeStrings {
    let language: Language

    func list(_ scopes: [String]) -> String {
        APIKeys.knownScopes.sorted().filter { scopes.contains($0) }.map(name).joined(
            separator: language(en: ", ", th: " "))
    }

    func name(_ scope: String) -> String {
        switch scope {
        case "llm": language(en: "call models with your credits", th: "เรียกใช้โมเดลด้วยเครดิตของคุณ")
        case "credits": language(en: "read your balance and history", th: "ดูยอดคงเหลือและประวัติ")
        case "models": language(en: "list models and prices", th: "ดูรายการโมเดลและราคา")
        case "profile": language(en: "read your name and address", th: "ดูชื่อและที่อยู่อีเมลของคุณ")
        case "storage": language(en: "use your files", th: "ใช้ไฟล์ของคุณ")
        default: scope
        }
    }
}
