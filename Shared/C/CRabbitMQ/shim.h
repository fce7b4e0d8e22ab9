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
#include <openssl/err.h>
#include <openssl/ssl.h>
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

/* The library keeps its SSL to itself, and its writes may wait without limit. Who is told of the handshake learns the SSL. */
static inline void crabbitmq_tls_found(const SSL *tls, int where, int result) {
    (void)where, (void)result;
    SSL **found = SSL_CTX_get_app_data(SSL_get_SSL_CTX(tls));
    if (found) *found = (SSL *)tls;
}
/* Connects with the peer's chain and name verified; `authorities` is a PEM file, or NULL for the system's. */
static inline int crabbitmq_open_tls(amqp_socket_t *socket, const char *host, int port, long milliseconds, const char *authorities,
                                     SSL **tls) {
    SSL_CTX *context = amqp_ssl_socket_get_context(socket);
    int status = AMQP_STATUS_OK;
    if (authorities) status = amqp_ssl_socket_set_cacert(socket, authorities);
    else if (SSL_CTX_set_default_verify_paths(context) != 1) status = AMQP_STATUS_SSL_ERROR;
    if (status != AMQP_STATUS_OK) return status;
    amqp_ssl_socket_set_verify_peer(socket, 1);
    amqp_ssl_socket_set_verify_hostname(socket, 1);
    amqp_ssl_socket_set_ssl_versions(socket, AMQP_TLSv1_2, AMQP_TLSvLATEST);
    *tls = NULL;
    SSL_CTX_set_app_data(context, tls);
    SSL_CTX_set_info_callback(context, crabbitmq_tls_found);
    status = crabbitmq_open(socket, host, port, milliseconds);
    SSL_CTX_set_info_callback(context, NULL);
    SSL_CTX_set_app_data(context, NULL);
    if (status != AMQP_STATUS_OK) return status;
    if (!*tls) return AMQP_STATUS_SSL_ERROR;
    SSL_set_info_callback(*tls, NULL);
    SSL_set_mode(*tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return AMQP_STATUS_OK;
}
/* Bytes taken; 0 when the socket is full; -1 when the connection is broken. */
static inline long crabbitmq_tls_send(SSL *tls, const void *bytes, size_t count) {
    ERR_clear_error();
    int sent = SSL_write(tls, bytes, count > 1 << 30 ? 1 << 30 : (int)count);
    if (sent > 0) return sent;
    int error = SSL_get_error(tls, sent);
    return error == SSL_ERROR_WANT_WRITE || error == SSL_ERROR_WANT_READ ? 0 : -1;
}
