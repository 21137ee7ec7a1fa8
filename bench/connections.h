/* Many WebSocket clients in one process: connecting, frames, and the lines by which it is told what to do.
 * Each program that includes this says what it does with a binary message and what it has counted.
 *
 *     PROGRAM FILE
 *
 * FILE says what the clients send, client number C the part C modulo the number of parts; a part is
 *     u32 length of the handshake, u32 length of the first message (0: none), handshake, message
 * both as they go onto the wire. Told by lines, it answers each by one line of JSON:
 *     connect PORT COUNT   so many more clients, WINDOW of them at a time; each is there once its handshake
 *                          is answered and, if it has a first message, that too, by text
 *     begin                count from here
 *     end FRAMES           once there were so many frames, or none came for QUIET_MS: what was counted */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define WINDOW 64 /* fewer than any contender's backlog of connections */
#define QUIET_MS 500
#define MOST_EVENTS 512
#define CHUNK (1024 * 1024) /* more than any frame: what names a client's symbols is the longest */

enum state { CONNECTING, SHAKING, ASKING, READY, LOST };

struct part {
    uint32_t handshake_size, message_size;
    const unsigned char *handshake, *message;
};

struct client {
    int fd;
    enum state state;
    const struct part *part;
    unsigned char *rest; /* the beginning of a frame whose end has not come yet */
    size_t rest_size;
    uint32_t frames;
};

static struct part *parts;
static size_t part_count;
static struct client **clients;
static size_t client_count, ready_count, lost_count;
static int epoll;

static struct {
    uint64_t frames, bytes;
    double begun_s, begun_cpu_s, last_s;
} seen;

/* Of the program that includes this: take a message in; forget what was counted; and write that as more
 * members of a JSON object, each after a comma. */
static void on_message(const unsigned char *payload, size_t size);
static void begin_figures(void);
static void write_figures(void);

static void fail(const char *form, ...) {
    char text[512];
    va_list values;
    va_start(values, form);
    vsnprintf(text, sizeof text, form, values);
    va_end(values);
    for (char *at = text; *at; at++)
        if (*at == '"' || *at == '\\' || (unsigned char)*at < ' ') *at = ' ';
    printf("{\"error\": \"%s\"}\n", text);
    fflush(stdout);
    exit(1);
}

static double clock_s(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void read_parts(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END) != 0) fail("cannot read %s", path);
    size_t size = (size_t)ftell(file);
    unsigned char *data = malloc(size);
    rewind(file);
    if (fread(data, 1, size, file) != size) fail("cannot read %s", path);
    fclose(file);
    for (size_t at = 0; at < size;) {
        parts = realloc(parts, (part_count + 1) * sizeof *parts);
        struct part *part = &parts[part_count++];
        memcpy(&part->handshake_size, data + at, 4);
        memcpy(&part->message_size, data + at + 4, 4);
        part->handshake = data + at + 8;
        part->message = part->handshake + part->handshake_size;
        at += 8 + part->handshake_size + part->message_size;
    }
}

/* What comes */

static void say(struct client *client, const unsigned char *data, size_t size) {
    if (send(client->fd, data, size, MSG_NOSIGNAL) != (ssize_t)size) fail("cannot send: %s", strerror(errno));
}

static void on_ready(struct client *client) {
    client->state = READY;
    ready_count++;
}

static void on_lost(struct client *client) {
    if (client->state != READY) fail("client %zu was turned away", client_count);
    client->state = LOST;
    lost_count++;
    close(client->fd);
}

static void on_binary(struct client *client, const unsigned char *payload, size_t size) {
    on_message(payload, size);
    seen.frames++;
    seen.bytes += size;
    seen.last_s = clock_s(CLOCK_MONOTONIC);
    client->frames++;
}

static void on_frame(struct client *client, int opcode, const unsigned char *payload, size_t size) {
    if (opcode == 0x2) {
        on_binary(client, payload, size);
    } else if (opcode == 0x1) {
        if (client->state == ASKING && memmem(payload, size, "\"error\"", 7))
            fail("%.*s", (int)size, (const char *)payload);
        if (client->state == ASKING) on_ready(client);
    } else if (opcode == 0x8) {
        on_lost(client);
    } else if (opcode == 0x9 && size <= 125) { /* a ping is answered under a mask of zero, which changes nothing */
        unsigned char pong[6 + 125] = {0x8A, (unsigned char)(0x80 | size)};
        memcpy(pong + 6, payload, size);
        say(client, pong, 6 + size);
    }
}

/* Return how many bytes of the handshake's answer there are, 0 while its end has not come. */
static size_t on_answer(struct client *client, const unsigned char *data, size_t size) {
    const unsigned char *end = memmem(data, size, "\r\n\r\n", 4);
    if (!end) return 0;
    if (size < 12 || memcmp(data, "HTTP/1.1 101", 12) != 0) fail("%.*s", (int)(end - data), (const char *)data);
    if (client->part->message_size) {
        client->state = ASKING;
        say(client, client->part->message, client->part->message_size);
    } else {
        on_ready(client);
    }
    return (size_t)(end - data) + 4;
}

/* Return how many bytes the first frame has with its header, 0 while its end has not come. */
static size_t take_frame(struct client *client, const unsigned char *data, size_t size) {
    size_t header = 2, length;
    if (size < header) return 0;
    length = data[1] & 0x7F;
    if (length == 126) {
        header = 4;
        if (size < header) return 0;
        length = (size_t)data[2] << 8 | data[3];
    } else if (length == 127) {
        header = 10;
        if (size < header) return 0;
        length = (size_t)data[6] << 24 | (size_t)data[7] << 16 | (size_t)data[8] << 8 | data[9];
        if (length >= CHUNK - header) fail("a frame of %zu bytes", length);
    }
    if (size < header + length) return 0;
    on_frame(client, data[0] & 0x0F, data + header, length);
    return header + length;
}

static void on_readable(struct client *client) {
    static unsigned char data[2 * CHUNK];
    size_t size = client->rest_size, at = 0, taken;
    if (size) memcpy(data, client->rest, size);
    ssize_t got = recv(client->fd, data + size, CHUNK, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) {
        on_lost(client);
        return;
    }
    size += (size_t)got;
    do {
        taken = client->state == SHAKING ? on_answer(client, data + at, size - at)
                                         : take_frame(client, data + at, size - at);
        at += taken;
    } while (taken && client->state != LOST);
    client->rest_size = size - at;
    if (!client->rest_size) return;
    client->rest = realloc(client->rest, client->rest_size);
    memcpy(client->rest, data + at, client->rest_size);
}

/* Connecting */

static void connect_one(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    struct client *client = calloc(1, sizeof *client);
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (client->fd < 0) fail("cannot open a socket: %s", strerror(errno));
    client->part = &parts[client_count % part_count];
    if (connect(client->fd, (struct sockaddr *)&address, sizeof address) != 0 && errno != EINPROGRESS)
        fail("cannot connect: %s", strerror(errno));
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = client};
    epoll_ctl(epoll, EPOLL_CTL_ADD, client->fd, &event);
    clients[client_count++] = client;
}

static void on_connected(struct client *client) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) fail("cannot connect: %s", strerror(error));
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
    epoll_ctl(epoll, EPOLL_CTL_MOD, client->fd, &event);
    client->state = SHAKING;
    say(client, client->part->handshake, client->part->handshake_size);
}

/* Let what is there be read; return whether there was anything, or -1 if a line has come. */
static int turn(int timeout_ms) {
    struct epoll_event events[MOST_EVENTS];
    int ready = epoll_wait(epoll, events, MOST_EVENTS, timeout_ms), has_line = 0;
    for (int one = 0; one < ready; one++) {
        struct client *client = events[one].data.ptr;
        if (!client)
            has_line = 1;
        else if (client->state == CONNECTING)
            on_connected(client);
        else if (client->state != LOST)
            on_readable(client);
    }
    return has_line ? -1 : ready > 0;
}

/* The same, while an answer is awaited: whoever waits for it says nothing, so its end of the pipe is closed. */
static int turn_busily(int timeout_ms) {
    int had_any = turn(timeout_ms);
    if (had_any < 0) exit(0);
    return had_any;
}

/* The lines */

static void connect_all(int port, size_t count) {
    size_t wanted = client_count + count;
    double start_s = clock_s(CLOCK_MONOTONIC);
    clients = realloc(clients, wanted * sizeof *clients);
    while (ready_count < wanted) {
        while (client_count < wanted && client_count - ready_count < WINDOW) connect_one(port);
        turn_busily(-1);
    }
    printf("{\"seconds\": %.6f}\n", clock_s(CLOCK_MONOTONIC) - start_s);
}

static void begin(void) {
    memset(&seen, 0, sizeof seen);
    begin_figures();
    for (size_t one = 0; one < client_count; one++) clients[one]->frames = 0;
    seen.begun_cpu_s = clock_s(CLOCK_PROCESS_CPUTIME_ID);
    seen.begun_s = seen.last_s = clock_s(CLOCK_MONOTONIC);
    puts("{}");
}

static void end(uint64_t frames) {
    while (seen.frames < frames && turn_busily(QUIET_MS)) continue;
    double cpu_s = clock_s(CLOCK_PROCESS_CPUTIME_ID) - seen.begun_cpu_s;
    double open_s = clock_s(CLOCK_MONOTONIC) - seen.begun_s;
    uint32_t fewest = client_count ? UINT32_MAX : 0;
    for (size_t one = 0; one < client_count; one++)
        if (clients[one]->frames < fewest) fewest = clients[one]->frames;
    printf("{\"frames\": %llu, \"bytes\": %llu, \"fewest\": %u, \"lost\": %zu, \"seconds\": %.6f, \"share\": %.4f",
           (unsigned long long)seen.frames, (unsigned long long)seen.bytes, fewest, lost_count,
           seen.last_s - seen.begun_s, cpu_s / open_s);
    write_figures();
    puts("}");
}

static void on_line(void) {
    char line[128];
    int port;
    size_t count;
    unsigned long long frames;
    if (!fgets(line, sizeof line, stdin)) exit(0);
    if (sscanf(line, "connect %d %zu", &port, &count) == 2)
        connect_all(port, count);
    else if (sscanf(line, "end %llu", &frames) == 1)
        end(frames);
    else if (strcmp(line, "begin\n") == 0)
        begin();
    else
        fail("not understood: %s", line);
    fflush(stdout);
}

/* Let one process have as many connections as this machine allows. */
static void raise_open_files(void) {
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0) return;
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
}

int main(int count, char **given) {
    if (count != 2) return 2;
    raise_open_files();
    epoll = epoll_create1(0);
    read_parts(given[1]);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &event);
    for (;;)
        if (turn(-1) < 0) on_line();
}
