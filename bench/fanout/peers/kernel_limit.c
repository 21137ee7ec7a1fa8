/* What pushing costs at the least: one send() of prebuilt bytes per client and round, and nothing else.
 *
 *     kernel_limit PORT RATE SIZE FILE
 *
 * FILE holds payloads of SIZE bytes; who connects with the path /N gets the N-th. Says `ready`. Told
 * `go N` it sends N rounds, RATE of them a second, and says `done`. Ends with its standard input.
 *
 * The answer to a handshake is a constant, because so is the key that the reader sends. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PRICE_AT 8 /* in the payload: behind CRC, count and the first symbol's id */
#define MOST_CLIENTS 65536
#define MOST_EVENTS 256

static const char ANSWER[] = "HTTP/1.1 101 Switching Protocols\r\n"
                             "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                             "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

static unsigned char *frames;
static size_t frame_size, header_size, watchlists;
static int client_fd[MOST_CLIENTS];
static size_t client_list[MOST_CLIENTS];
static size_t clients;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void read_payloads(const char *path, size_t size) {
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END) != 0) fail(path);
    watchlists = (size_t)ftell(file) / size;
    rewind(file);
    header_size = size < 126 ? 2 : 4; /* no payload has 64 KiB */
    frame_size = header_size + size;
    frames = calloc(watchlists, frame_size);
    for (size_t list = 0; list < watchlists; list++) {
        unsigned char *frame = frames + list * frame_size;
        frame[0] = 0x82;
        frame[1] = size < 126 ? (unsigned char)size : 126;
        if (size >= 126) {
            frame[2] = (unsigned char)(size >> 8);
            frame[3] = (unsigned char)size;
        }
        if (fread(frame + header_size, 1, size, file) != size) fail(path);
    }
    fclose(file);
}

static int listen_on(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 2048) != 0) fail("listen");
    return fd;
}

static void watch(int epoll, int fd) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) fail("epoll_ctl");
}

static void accept_all(int epoll, int listener) {
    int fd, one = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        watch(epoll, fd);
    }
}

/* Answer a handshake, which comes in one piece; what comes later is no handshake and not looked at. */
static void on_readable(int fd) {
    char text[4096];
    ssize_t got = recv(fd, text, sizeof text - 1, 0);
    if (got <= 0) {
        close(fd);
        return;
    }
    text[got] = 0;
    size_t list;
    if (sscanf(text, "GET /%zu ", &list) != 1) return;
    if (list >= watchlists || clients == MOST_CLIENTS) {
        close(fd);
        return;
    }
    client_fd[clients] = fd;
    client_list[clients++] = list;
    if (send(fd, ANSWER, sizeof ANSWER - 1, MSG_NOSIGNAL) < 0) fail("send");
}

static int64_t now_ns(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void send_round(void) {
    double time_us = (double)(now_ns(CLOCK_REALTIME) / 1000);
    for (size_t list = 0; list < watchlists; list++)
        memcpy(frames + list * frame_size + header_size + PRICE_AT, &time_us, sizeof time_us);
    for (size_t client = 0; client < clients; client++) {
        unsigned char *frame = frames + client_list[client] * frame_size;
        ssize_t sent = send(client_fd[client], frame, frame_size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent != (ssize_t)frame_size) fail("a client does not read");
    }
}

static void send_rounds(long rounds, double rate) {
    int64_t start_ns = now_ns(CLOCK_MONOTONIC);
    for (long round = 0; round < rounds; round++) {
        int64_t due_ns = start_ns + (int64_t)((double)round * 1e9 / rate);
        struct timespec due = {.tv_sec = due_ns / 1000000000LL, .tv_nsec = due_ns % 1000000000LL};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
        send_round();
    }
    puts("done");
    fflush(stdout);
}

static void on_line(double rate) {
    char line[64];
    long rounds;
    if (!fgets(line, sizeof line, stdin)) exit(0);
    if (sscanf(line, "go %ld", &rounds) == 1) send_rounds(rounds, rate);
}

int main(int count, char **given) {
    if (count != 5) return 2;
    int epoll = epoll_create1(0), listener = listen_on(atoi(given[1]));
    double rate = atof(given[2]);
    read_payloads(given[4], (size_t)atol(given[3]));
    watch(epoll, listener);
    watch(epoll, STDIN_FILENO);
    puts("ready");
    fflush(stdout);
    for (;;) {
        struct epoll_event events[MOST_EVENTS];
        int ready = epoll_wait(epoll, events, MOST_EVENTS, -1);
        for (int one = 0; one < ready; one++) {
            if (events[one].data.fd == listener)
                accept_all(epoll, listener);
            else if (events[one].data.fd == STDIN_FILENO)
                on_line(rate);
            else
                on_readable(events[one].data.fd);
        }
    }
}
