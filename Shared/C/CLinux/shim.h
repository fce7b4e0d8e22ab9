#pragma once
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* The loop that owns the calling thread. Only the EventLoop module imports this header, so there is one slot a thread. */
static inline void **clinux_thread_loop_slot(void) {
    static __thread void *slot;
    return &slot;
}
static inline void *clinux_thread_loop_get(void) { return *clinux_thread_loop_slot(); }
static inline void clinux_thread_loop_set(void *loop) { *clinux_thread_loop_slot() = loop; }

/* epoll_event is packed on x86-64: filled here so that Swift never takes the address of a packed field. */
static inline int clinux_epoll_ctl(int epoll, int operation, int fd, uint32_t events, uint64_t token) {
    struct epoll_event event = {.events = events, .data = {.u64 = token}};
    return epoll_ctl(epoll, operation, fd, &event);
}
static inline uint64_t clinux_epoll_token(const struct epoll_event *event) { return event->data.u64; }
static inline uint32_t clinux_epoll_events(const struct epoll_event *event) { return event->events; }

/* Shown by ps and top; at most 15 bytes. PR_SET_NAME is 15. */
static inline void clinux_thread_name(const char *name) { prctl(PR_SET_NAME, name, 0, 0, 0); }

/* PR_SET_DUMPABLE is 4: /proc/PID belongs to root then, no process of the same user may trace this one, and it leaves no core. */
static inline void clinux_forbid_tracing(void) { prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); }

/* Glibc's overlay hides what needs _GNU_SOURCE. */
int accept4(int descriptor, struct sockaddr *address, socklen_t *length, int flags);
