#pragma once
#include <http_parser.h>
#include <string.h>

/* Bit fields and macros that Swift does not see. */
static inline int chttp_error(const http_parser *parser) { return parser->http_errno; }
static inline int chttp_method(const http_parser *parser) { return parser->method; }
static inline size_t chttp_method_length(const http_parser *parser) { return strlen(http_method_str((enum http_method)parser->method)); }
static inline int chttp_status(const http_parser *parser) { return parser->status_code; }
static inline int chttp_is_chunked(const http_parser *parser) { return (parser->flags & F_CHUNKED) != 0; }
static inline int chttp_has_content_length(const http_parser *parser) { return (parser->flags & F_CONTENTLENGTH) != 0; }

/* A server may ignore Upgrade (RFC 9110 7.8): without this the parser would stop after the head. */
static inline void chttp_ignore_upgrade(http_parser *parser) { parser->upgrade = 0; }

static inline void chttp_settings(http_parser_settings *settings, http_data_cb target, http_data_cb field, http_data_cb value,
                                  http_cb head_complete, http_data_cb body, http_cb message_complete) {
    memset(settings, 0, sizeof *settings);
    settings->on_url = target;
    settings->on_header_field = field;
    settings->on_header_value = value;
    settings->on_headers_complete = head_complete;
    settings->on_body = body;
    settings->on_message_complete = message_complete;
}
