/* Send many frames to many sockets with few system calls.
 *
 * The rules of this file:
 * - It never waits for a socket: what a socket does not take now is told, and left to whoever asked.
 * - A socket that has anything unsent in its transport is not touched, or bytes would overtake each other. Its
 *   transport is asked only if anything was written to it since it was last found empty: whoever does says so
 *   by `wrote`, and what we leave to it counts as written.
 * - Nothing here closes a socket. Whoever queues one has it open until `submit` is over.
 * - Frames and transports that are queued are held until `submit` is over: the kernel reads from them.
 * - What is looked at for each target lies close together: among thousands, every look elsewhere misses the
 *   processor's caches.
 *
 * io_uring is used by its system calls and the kernel's own header alone. A ring is tried out before it is
 * used, because sandboxes refuse it and old kernels lack parts of it.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#if defined(__linux__) && defined(__has_include)
#if __has_include(<linux/io_uring.h>)
#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#define HAS_URING 1
#endif
#endif
#ifndef HAS_URING
#define HAS_URING 0
#endif

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif

static const int SEND_FLAGS = MSG_DONTWAIT | MSG_NOSIGNAL;
#define NOT_TRIED (-EAGAIN) /* as if the socket were full */

/* One frame, and to whom it goes. */
typedef struct {
    PyObject *frame;
    PyObject *transports; /* a tuple */
    const char *bytes;
    int size;
} Batch;

typedef struct {
    int fd; /* below 0: not ours to write to */
    int taken; /* bytes, or an error below 0 */
    unsigned batch, place;
} Piece;

/* ---- The ring ---- */

#if HAS_URING

enum { RING_ENTRIES = 1024 };

typedef struct {
    int fd;
    unsigned entries;
    void *rings;
    size_t rings_bytes;
    struct io_uring_sqe *sqes;
    size_t sqes_bytes;
    unsigned *sq_tail, *sq_array, sq_mask;
    unsigned *sq_head;
    unsigned *cq_head, *cq_tail, cq_mask;
    struct io_uring_cqe *cqes;
} Ring;

static void ring_close(Ring *ring) {
    if (ring->sqes != NULL) munmap(ring->sqes, ring->sqes_bytes);
    if (ring->rings != NULL) munmap(ring->rings, ring->rings_bytes);
    if (ring->fd >= 0) close(ring->fd);
    ring->sqes = NULL;
    ring->rings = NULL;
    ring->fd = -1;
}

static void *ring_map(Ring *ring, size_t size, off_t offset) {
    void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring->fd, offset);
    return map == MAP_FAILED ? NULL : map;
}

/* Open a ring; return 0, or an errno. The kernel gives its descriptor close-on-exec. */
static int ring_open(Ring *ring) {
    struct io_uring_params params = {0};
    memset(ring, 0, sizeof *ring);
    ring->fd = (int)syscall(__NR_io_uring_setup, RING_ENTRIES, &params);
    if (ring->fd < 0) return errno;
    if (!(params.features & IORING_FEAT_SINGLE_MMAP)) return ENOSYS;
    size_t sq_bytes = params.sq_off.array + params.sq_entries * sizeof(unsigned);
    size_t cq_bytes = params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe);
    ring->rings_bytes = sq_bytes > cq_bytes ? sq_bytes : cq_bytes;
    ring->rings = ring_map(ring, ring->rings_bytes, IORING_OFF_SQ_RING);
    ring->sqes_bytes = params.sq_entries * sizeof(struct io_uring_sqe);
    ring->sqes = ring_map(ring, ring->sqes_bytes, IORING_OFF_SQES);
    if (ring->rings == NULL || ring->sqes == NULL) return ENOMEM;
    char *rings = ring->rings;
    ring->entries = params.sq_entries;
    ring->sq_head = (unsigned *)(rings + params.sq_off.head);
    ring->sq_tail = (unsigned *)(rings + params.sq_off.tail);
    ring->sq_mask = *(unsigned *)(rings + params.sq_off.ring_mask);
    ring->sq_array = (unsigned *)(rings + params.sq_off.array);
    ring->cq_head = (unsigned *)(rings + params.cq_off.head);
    ring->cq_tail = (unsigned *)(rings + params.cq_off.tail);
    ring->cq_mask = *(unsigned *)(rings + params.cq_off.ring_mask);
    ring->cqes = (struct io_uring_cqe *)(rings + params.cq_off.cqes);
    return 0;
}

static void ring_put(Ring *ring, const Piece *piece, const Batch *batch, unsigned place, unsigned number) {
    unsigned index = place & ring->sq_mask;
    struct io_uring_sqe *sqe = &ring->sqes[index];
    memset(sqe, 0, sizeof *sqe);
    sqe->opcode = IORING_OP_SEND;
    sqe->fd = piece->fd;
    sqe->addr = (unsigned long)batch->bytes;
    sqe->len = (unsigned)batch->size;
    sqe->msg_flags = (unsigned)SEND_FLAGS;
    sqe->user_data = number;
    ring->sq_array[index] = index;
}

/* Take in what the kernel has done; return how many that were. */
static unsigned ring_reap(Ring *ring, Piece *pieces) {
    unsigned head = *ring->cq_head, tail = __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE);
    for (unsigned at = head; at != tail; at++) {
        const struct io_uring_cqe *cqe = &ring->cqes[at & ring->cq_mask];
        pieces[cqe->user_data].taken = cqe->res;
    }
    __atomic_store_n(ring->cq_head, tail, __ATOMIC_RELEASE);
    return tail - head;
}

/* Send at most RING_ENTRIES pieces. What the kernel would not take in stays NOT_TRIED.
 *
 * `wait` is 0 only while a ring is tried out: it must be able to say at once that a socket is full. Returns
 * how many are still under way: 0, where it waits.
 */
static unsigned ring_send(Ring *ring, Piece *pieces, const Batch *batches, unsigned count, int wait) {
    unsigned tail = *ring->sq_tail, under_way = 0, left = 0;
    for (unsigned number = 0; number < count; number++) {
        const Piece *piece = &pieces[number];
        if (piece->fd >= 0) ring_put(ring, piece, &batches[piece->batch], tail + left++, number);
    }
    __atomic_store_n(ring->sq_tail, tail + left, __ATOMIC_RELEASE);
    while (left || under_way) {
        unsigned wanted = wait ? left + under_way : 0;
        long accepted = syscall(__NR_io_uring_enter, ring->fd, left, wanted, IORING_ENTER_GETEVENTS, NULL, 0);
        if (accepted > 0) {
            left -= (unsigned)accepted;
            under_way += (unsigned)accepted;
        } else if (left && accepted < 0 && errno != EINTR) { /* no memory, say: the rest stays untried */
            __atomic_store_n(ring->sq_tail, *ring->sq_head, __ATOMIC_RELEASE);
            left = 0;
        }
        under_way -= ring_reap(ring, pieces);
        if (!wait) break;
    }
    return under_way;
}

/* Let a socket take a byte, and then more than it has room for; return 0, or an errno. */
static int ring_try_out(Ring *ring) {
    int pair[2], error = 0;
    static const char byte = 'x'; /* static: a kernel that is too old may read it later */
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0) return errno;
    if (fcntl(pair[0], F_SETFL, O_NONBLOCK) < 0) error = errno;
    Batch batch = {.bytes = &byte, .size = 1};
    Piece piece = {.fd = pair[0], .taken = NOT_TRIED};
    if (!error && (ring_send(ring, &piece, &batch, 1, 0) || piece.taken != 1)) error = piece.taken < 0 ? -piece.taken : EIO;
    static const char much[65536];
    while (!error && send(pair[0], much, sizeof much, SEND_FLAGS) > 0) {}
    piece.taken = 0;
    if (!error && (ring_send(ring, &piece, &batch, 1, 0) || piece.taken != -EAGAIN)) error = ENOSYS;
    close(pair[0]);
    close(pair[1]);
    return error;
}

#endif

/* ---- The two ways ---- */

static void send_by_loop(Piece *pieces, const Batch *batches, Py_ssize_t count) {
    for (Piece *piece = pieces; piece < pieces + count; piece++) {
        if (piece->fd < 0) continue;
        const Batch *batch = &batches[piece->batch];
        ssize_t taken = send(piece->fd, batch->bytes, (size_t)batch->size, SEND_FLAGS);
        piece->taken = taken < 0 ? -errno : (int)taken;
    }
}

/* ---- Python: Sender(way) ---- */

typedef struct {
    PyObject_HEAD
    Piece *pieces;
    Batch *batches;
    char *drained; /* by a socket's number: whether nothing waits in its transport for sure */
    Py_ssize_t pieces_count, pieces_room, batches_count, batches_room, drained_room;
    int is_busy;
#if HAS_URING
    int has_ring;
    Ring ring;
#endif
} Sender;

static PyObject *unsent_name; /* "get_write_buffer_size" */

static PyObject *refuse(int error) {
    errno = error;
    return PyErr_SetFromErrno(PyExc_OSError);
}

static PyObject *is_in_use(void) {
    PyErr_SetString(PyExc_RuntimeError, "the sender is at work, for another thread or further up");
    return NULL;
}

static int sender_open_ring(Sender *self) {
#if HAS_URING
    int error = ring_open(&self->ring);
    if (!error) error = ring_try_out(&self->ring);
    if (!error) {
        self->has_ring = 1;
        return 0;
    }
    ring_close(&self->ring);
#else
    (void)self;
    int error = ENOSYS;
#endif
    refuse(error);
    return -1;
}

static PyObject *sender_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"uring", NULL};
    int uring = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$p", names, &uring)) return NULL;
    Sender *self = (Sender *)type->tp_alloc(type, 0);
    if (self != NULL && uring && sender_open_ring(self) < 0) Py_CLEAR(self);
    return (PyObject *)self;
}

static void sender_forget(Sender *self) {
    for (Py_ssize_t at = 0; at < self->batches_count; at++) {
        Py_DECREF(self->batches[at].frame);
        Py_DECREF(self->batches[at].transports);
    }
    self->pieces_count = self->batches_count = 0;
}

static PyObject *sender_close(Sender *self, PyObject *Py_UNUSED(ignored)) {
    if (self->is_busy) return is_in_use();
    sender_forget(self);
    PyMem_Free(self->pieces);
    PyMem_Free(self->batches);
    PyMem_Free(self->drained);
    self->pieces = NULL;
    self->batches = NULL;
    self->drained = NULL;
    self->pieces_room = self->batches_room = self->drained_room = 0;
#if HAS_URING
    if (self->has_ring) ring_close(&self->ring);
    self->has_ring = 0;
#endif
    Py_RETURN_NONE;
}

static void sender_dealloc(Sender *self) {
    Py_DECREF(sender_close(self, NULL));
    Py_TYPE(self)->tp_free((PyObject *)self);
}

/* Return a block with room for so many items, larger than asked for; NULL is an exception. */
static void *with_room(void *block, Py_ssize_t *room, Py_ssize_t needed, size_t item_bytes) {
    if (needed <= *room && block != NULL) return block;
    void *made = PyMem_Realloc(block, (size_t)needed * 2 * item_bytes);
    if (made == NULL) return PyErr_NoMemory();
    *room = needed * 2;
    return made;
}

static int sender_make_room(Sender *self, Py_ssize_t more, int most_fd) {
    Py_ssize_t known = self->drained_room;
    Piece *pieces = with_room(self->pieces, &self->pieces_room, self->pieces_count + more, sizeof(Piece));
    if (pieces != NULL) self->pieces = pieces;
    Batch *batches = with_room(self->batches, &self->batches_room, self->batches_count + 1, sizeof(Batch));
    if (batches != NULL) self->batches = batches;
    char *drained = with_room(self->drained, &self->drained_room, (Py_ssize_t)most_fd + 1, 1);
    if (drained != NULL) {
        memset(drained + known, 0, (size_t)(self->drained_room - known));
        self->drained = drained;
    }
    return pieces == NULL || batches == NULL || drained == NULL ? -1 : 0;
}

/* Return whether a transport has nothing that must go before what we send; below 0 is an exception. */
static int is_drained(PyObject *transport) {
    PyObject *unsent = PyObject_CallMethodNoArgs(transport, unsent_name);
    if (unsent == NULL) return -1;
    Py_ssize_t bytes = PyLong_AsSsize_t(unsent);
    Py_DECREF(unsent);
    return bytes == -1 && PyErr_Occurred() ? -1 : bytes == 0;
}

/* Ask the transports of which it is not known; return 0, or -1 with an exception. */
static int sender_look(Sender *self, const int *fds, PyObject *transports, Py_ssize_t count) {
    int drained = 0;
    self->is_busy = 1; /* what is asked may come back to us */
    for (Py_ssize_t at = 0; at < count && drained >= 0; at++) {
        if (fds[at] < 0 || self->drained[fds[at]]) continue;
        drained = is_drained(PyTuple_GET_ITEM(transports, at));
        self->drained[fds[at]] = drained > 0;
    }
    self->is_busy = 0;
    return drained < 0 ? -1 : 0;
}

static void sender_add(Sender *self, PyObject *frame, const int *fds, PyObject *transports, Py_ssize_t count) {
    Py_ssize_t size = PyBytes_GET_SIZE(frame);
    unsigned number = (unsigned)self->batches_count++;
    self->batches[number] = (Batch){
        .frame = Py_NewRef(frame),
        .transports = Py_NewRef(transports),
        .bytes = PyBytes_AS_STRING(frame),
        .size = (int)size,
    };
    Piece *piece = self->pieces + self->pieces_count;
    for (Py_ssize_t at = 0; at < count; at++, piece++) {
        int is_ours = fds[at] >= 0 && self->drained[fds[at]] && size <= INT_MAX;
        *piece = (Piece){is_ours ? fds[at] : -1, NOT_TRIED, number, (unsigned)at};
    }
    self->pieces_count += count;
}

static int largest(const int *fds, Py_ssize_t count) {
    int most = 0;
    for (Py_ssize_t at = 0; at < count; at++) most = fds[at] > most ? fds[at] : most;
    return most;
}

static PyObject *sender_queue(Sender *self, PyObject *const *args, Py_ssize_t nargs) {
    PyObject *fds = NULL, *transports = NULL;
    if (nargs == 2 && PyBytes_CheckExact(args[0]) && PyTuple_Check(args[1]) && PyTuple_GET_SIZE(args[1]) == 2) {
        fds = PyTuple_GET_ITEM(args[1], 0);
        transports = PyTuple_GET_ITEM(args[1], 1);
    }
    if (fds == NULL || !PyBytes_CheckExact(fds) || !PyTuple_CheckExact(transports)
        || PyBytes_GET_SIZE(fds) != PyTuple_GET_SIZE(transports) * (Py_ssize_t)sizeof(int)) {
        PyErr_SetString(PyExc_TypeError, "queue(frame: bytes, targets: Targets)");
        return NULL;
    }
    if (self->is_busy) return is_in_use();
    const int *numbers = (const int *)PyBytes_AS_STRING(fds);
    Py_ssize_t count = PyTuple_GET_SIZE(transports);
    if (sender_make_room(self, count, largest(numbers, count)) < 0) return NULL;
    if (sender_look(self, numbers, transports, count) < 0) return NULL;
    sender_add(self, args[0], numbers, transports, count);
    Py_RETURN_NONE;
}

static PyObject *sender_wrote(Sender *self, PyObject *number) {
    long fd = PyLong_AsLong(number);
    if (fd == -1 && PyErr_Occurred()) return NULL;
    if (fd >= 0 && fd < self->drained_room) self->drained[fd] = 0;
    Py_RETURN_NONE;
}

static void sender_send(Sender *self) {
#if HAS_URING
    for (Py_ssize_t at = 0; self->has_ring && at < self->pieces_count; at += self->ring.entries) {
        Py_ssize_t count = self->pieces_count - at;
        if (count > (Py_ssize_t)self->ring.entries) count = self->ring.entries;
        ring_send(&self->ring, self->pieces + at, self->batches, (unsigned)count, 1);
    }
    if (self->has_ring) return;
#endif
    send_by_loop(self->pieces, self->batches, self->pieces_count);
}

/* List what was not taken whole: (transport, frame, bytes that were taken). Its transport has it from now on. */
static PyObject *sender_unsent(Sender *self) {
    PyObject *unsent = PyList_New(0);
    for (Py_ssize_t at = 0; unsent != NULL && at < self->pieces_count; at++) {
        const Piece *piece = &self->pieces[at];
        const Batch *batch = &self->batches[piece->batch];
        if (piece->fd >= 0 && piece->taken == batch->size) continue;
        if (piece->fd >= 0) self->drained[piece->fd] = 0;
        int taken = piece->taken < 0 ? 0 : piece->taken; /* the transport finds out about errors itself */
        PyObject *transport = PyTuple_GET_ITEM(batch->transports, piece->place);
        PyObject *one = Py_BuildValue("(OOi)", transport, batch->frame, taken);
        if (one == NULL || PyList_Append(unsent, one) < 0) Py_CLEAR(unsent);
        Py_XDECREF(one);
    }
    return unsent;
}

static PyObject *sender_submit(Sender *self, PyObject *Py_UNUSED(ignored)) {
    if (self->is_busy) return is_in_use();
    self->is_busy = 1;
    Py_BEGIN_ALLOW_THREADS
    sender_send(self);
    Py_END_ALLOW_THREADS
    self->is_busy = 0;
    PyObject *unsent = sender_unsent(self);
    sender_forget(self);
    return unsent;
}

static PyMethodDef sender_methods[] = {
    {"queue", (PyCFunction)(void (*)(void))sender_queue, METH_FASTCALL,
     "queue(frame, targets): have a frame sent to each target; of them, the sockets' numbers and transports."},
    {"wrote", (PyCFunction)sender_wrote, METH_O, "wrote(number): the transport of this socket was written to."},
    {"submit", (PyCFunction)sender_submit, METH_NOARGS,
     "submit(): send what is queued; return what was not taken whole as (transport, frame, bytes taken)."},
    {"close", (PyCFunction)sender_close, METH_NOARGS, "close(): give everything back. What is queued is not sent."},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject SenderType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "gateway.native._send.Sender",
    .tp_doc = "Sends to sockets, by send() or, with uring=True, by an io_uring. Raises OSError if there is none.",
    .tp_basicsize = sizeof(Sender),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = sender_new,
    .tp_dealloc = (destructor)sender_dealloc,
    .tp_methods = sender_methods,
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, .m_name = "gateway.native._send", .m_doc = "Frames to sockets.", .m_size = -1};

PyMODINIT_FUNC PyInit__send(void) {
    unsent_name = PyUnicode_InternFromString("get_write_buffer_size");
    PyObject *made = unsent_name == NULL ? NULL : PyModule_Create(&module);
    if (made != NULL && PyModule_AddType(made, &SenderType) < 0) Py_CLEAR(made);
    return made;
}
