import CRabbitMQ

extension MessageProperties {
    /// Copies out of the library's buffers.
    init(_ raw: amqp_basic_properties_t) {
        func text(_ flag: Int32, _ bytes: amqp_bytes_t) -> String {
            guard raw._flags & UInt32(flag) != 0 else { return "" }
            let text = String(bytes)
            // Bytes that are no UTF-8 grow when they are repaired; too long to be sent back in a reply, they name nothing.
            return text.utf8.count <= 255 ? text : ""
        }
        messageID = text(AMQP_BASIC_MESSAGE_ID_FLAG, raw.message_id)
        correlationID = text(AMQP_BASIC_CORRELATION_ID_FLAG, raw.correlation_id)
        type = text(AMQP_BASIC_TYPE_FLAG, raw.type)
        contentType = text(AMQP_BASIC_CONTENT_TYPE_FLAG, raw.content_type)
        appID = text(AMQP_BASIC_APP_ID_FLAG, raw.app_id)
        userID = text(AMQP_BASIC_USER_ID_FLAG, raw.user_id)
        replyTo = text(AMQP_BASIC_REPLY_TO_FLAG, raw.reply_to)
        expirationMilliseconds = Int(text(AMQP_BASIC_EXPIRATION_FLAG, raw.expiration)) ?? 0
        timestamp = raw._flags & UInt32(AMQP_BASIC_TIMESTAMP_FLAG) == 0 ? 0 : raw.timestamp
        persistent = raw._flags & UInt32(AMQP_BASIC_DELIVERY_MODE_FLAG) != 0 && raw.delivery_mode == 2
        guard raw._flags & UInt32(AMQP_BASIC_HEADERS_FLAG) != 0 else { return }
        for index in 0..<Int(raw.headers.num_entries) {
            let entry = raw.headers.entries[index]
            if let value = Self.text(entry.value) { headers.append((String(entry.key), value)) }
        }
    }

    /// Headers are text to us; the broker's own counters are whole numbers. Tables and arrays (`x-death`) are left out.
    private static func text(_ field: amqp_field_value_t) -> String? {
        switch UInt32(field.kind) {
        case AMQP_FIELD_KIND_UTF8.rawValue, AMQP_FIELD_KIND_BYTES.rawValue: String(field.value.bytes)
        case AMQP_FIELD_KIND_BOOLEAN.rawValue: field.value.boolean != 0 ? "true" : "false"
        case AMQP_FIELD_KIND_I8.rawValue: String(field.value.i8)
        case AMQP_FIELD_KIND_U8.rawValue: String(field.value.u8)
        case AMQP_FIELD_KIND_I16.rawValue: String(field.value.i16)
        case AMQP_FIELD_KIND_U16.rawValue: String(field.value.u16)
        case AMQP_FIELD_KIND_I32.rawValue: String(field.value.i32)
        case AMQP_FIELD_KIND_U32.rawValue: String(field.value.u32)
        case AMQP_FIELD_KIND_I64.rawValue: String(field.value.i64)
        case AMQP_FIELD_KIND_U64.rawValue, AMQP_FIELD_KIND_TIMESTAMP.rawValue: String(field.value.u64)
        default: nil
        }
    }
}
