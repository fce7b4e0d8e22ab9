#pragma once
#if __has_include(<rabbitmq-c/amqp.h>)
#include <rabbitmq-c/amqp.h>
#include <rabbitmq-c/framing.h>
#include <rabbitmq-c/ssl_socket.h>
#include <rabbitmq-c/tcp_socket.h>
#else
#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_ssl_socket.h>
#include <amqp_tcp_socket.h>
#endif
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>

static inline amqp_table_entry_t crabbitmq_flag(const char *name) {
    amqp_table_entry_t entry = {.key = amqp_cstring_bytes(name), .value = {.kind = AMQP_FIELD_KIND_BOOLEAN, .value = {.boolean = 1}}};
    return entry;
}
static inline amqp_table_entry_t crabbitmq_text(const char *name, const char *value) {
    amqp_table_entry_t entry = {.key = amqp_cstring_bytes(name),
                                .value = {.kind = AMQP_FIELD_KIND_UTF8, .value = {.bytes = amqp_cstring_bytes(value)}}};
    return entry;
}

/* amqp_login_with_properties is variadic. Without these capabilities the broker says nothing about alarms and lost consumers. */
static inline amqp_rpc_reply_t crabbitmq_login(amqp_connection_state_t connection, const char *virtual_host, int heartbeat_seconds,
                                               const char *connection_name, const char *user, const char *password) {
    amqp_table_entry_t capabilities[] = {
        crabbitmq_flag("connection.blocked"), crabbitmq_flag("consumer_cancel_notify"), crabbitmq_flag("basic.nack"),
        crabbitmq_flag("publisher_confirms"), crabbitmq_flag("authentication_failure_close"),
    };
    amqp_table_entry_t entries[] = {
        crabbitmq_text("product", "smartspec-gateway"),
        crabbitmq_text("connection_name", connection_name),
        {.key = amqp_cstring_bytes("capabilities"),
         .value = {.kind = AMQP_FIELD_KIND_TABLE,
                   .value = {.table = {.num_entries = sizeof capabilities / sizeof *capabilities, .entries = capabilities}}}},
    };
    amqp_table_t properties = {.num_entries = sizeof entries / sizeof *entries, .entries = entries};
    return amqp_login_with_properties(connection, virtual_host, 0, AMQP_DEFAULT_FRAME_SIZE, heartbeat_seconds, &properties,
                                      AMQP_SASL_METHOD_PLAIN, user, password);
}

/* struct timeval stays on this side: which Clang module owns it depends on who was imported first. */
static inline struct timeval crabbitmq_time(long milliseconds) {
    struct timeval time = {.tv_sec = milliseconds / 1000, .tv_usec = milliseconds % 1000 * 1000};
    return time;
}
static inline int crabbitmq_open(amqp_socket_t *socket, const char *host, int port, long milliseconds) {
    struct timeval limit = crabbitmq_time(milliseconds);
    return amqp_socket_open_noblock(socket, host, port, &limit);
}
/* For login and for every later call that waits for an answer. */
static inline void crabbitmq_limit_calls(amqp_connection_state_t connection, long milliseconds) {
    struct timeval limit = crabbitmq_time(milliseconds);
    amqp_set_handshake_timeout(connection, &limit);
    amqp_set_rpc_timeout(connection, &limit);
}
/* AMQP_STATUS_TIMEOUT when no whole frame is there. */
static inline int crabbitmq_receive(amqp_connection_state_t connection, amqp_frame_t *frame) {
    struct timeval none = crabbitmq_time(0);
    return amqp_simple_wait_frame_noblock(connection, frame, &none);
}
