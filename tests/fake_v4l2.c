/* A webcam at /dev/video0 for a machine that has none: preloaded, it answers V4L2's calls in the driver's
 * place. FAKE_V4L2 says how it behaves:
 *   mjpeg      sends the JPEG file named by FAKE_JPEG, 30 times a second
 *   raw        knows YUYV only; each picture is a little lighter than the last
 *   both       knows both
 *   slow       knows both, YUYV 10 times a second
 *   full       knows both, but its bus has no room for YUYV
 *   crowded    its bus has room for nothing
 *   stall      sends 20 pictures, then nothing
 *   unplugged  sends 20 pictures, then is gone
 *   busy, absent, denied   cannot be opened for that reason
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { BUFFERS = 8, ROOM = 1 << 20, WIDTH = 640, HEIGHT = 480, RATE = 30, PICTURES = 20, SLOTS = 64 };

static int camera = -1, nonblocking, queue[SLOTS];
static unsigned first, after, sent, format = V4L2_PIX_FMT_MJPEG;
static double last;
static unsigned char jpeg[ROOM];
static size_t jpeg_size;

static int behaves(const char *how) {
    const char *mode = getenv("FAKE_V4L2");
    return mode && !strcmp(mode, how);
}

static int knows(unsigned pixelformat) {
    if (pixelformat == V4L2_PIX_FMT_YUYV) return behaves("raw") || behaves("both") || behaves("slow") || behaves("full");
    return pixelformat == V4L2_PIX_FMT_MJPEG && !behaves("raw");
}

static int raw(void) {
    return format == V4L2_PIX_FMT_YUYV;
}

static unsigned rate(void) {
    return raw() && behaves("slow") ? 10 : RATE;
}

static int fail(int code) {
    errno = code;
    return -1;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static int open_camera(int flags) {
    if (behaves("absent")) return fail(ENOENT);
    if (behaves("denied")) return fail(EACCES);
    camera = memfd_create("camera", 0);
    if (camera < 0 || ftruncate(camera, (off_t)BUFFERS * ROOM)) return -1;
    nonblocking = flags & O_NONBLOCK;
    if (knows(V4L2_PIX_FMT_MJPEG)) {
        FILE *file = fopen(getenv("FAKE_JPEG"), "rb");
        if (!file) return -1;
        jpeg_size = fread(jpeg, 1, ROOM, file);
        fclose(file);
    }
    return camera;
}

#define OPEN(name)                                                                                    \
    int name(const char *path, int flags, ...) {                                                      \
        va_list more;                                                                                 \
        va_start(more, flags);                                                                        \
        int mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(more, int) : 0;                           \
        va_end(more);                                                                                 \
        if (!strcmp(path, "/dev/video0")) return open_camera(flags);                                  \
        return ((int (*)(const char *, int, ...))dlsym(RTLD_NEXT, #name))(path, flags, mode);         \
    }
OPEN(open)
OPEN(open64)

static int choose(struct v4l2_format *chosen) {
    if (behaves("busy")) return fail(EBUSY);
    if (knows(chosen->fmt.pix.pixelformat))
        format = chosen->fmt.pix.pixelformat;
    else
        format = behaves("raw") ? V4L2_PIX_FMT_YUYV : V4L2_PIX_FMT_MJPEG;
    chosen->fmt.pix.pixelformat = format;
    chosen->fmt.pix.width = WIDTH;
    chosen->fmt.pix.height = HEIGHT;
    chosen->fmt.pix.field = V4L2_FIELD_NONE;
    chosen->fmt.pix.bytesperline = raw() ? WIDTH * 2 : 0;
    chosen->fmt.pix.sizeimage = raw() ? WIDTH * HEIGHT * 2 : ROOM;
    return 0;
}

static int dequeue(struct v4l2_buffer *buffer) {
    for (;;) {
        if (sent >= PICTURES && behaves("unplugged")) return fail(ENODEV);
        int silent = sent >= PICTURES && behaves("stall");
        if (!silent && first != after && now() - last >= 1.0 / rate()) break;
        if (nonblocking) return fail(EAGAIN);
        usleep(1000);
    }
    last = now();
    int index = queue[first++ % SLOTS];
    unsigned char *room = mmap(NULL, ROOM, PROT_WRITE, MAP_SHARED, camera, (off_t)index * ROOM);
    if (room == MAP_FAILED) return -1;
    buffer->bytesused = raw() ? WIDTH * HEIGHT * 2 : jpeg_size;
    if (raw())
        memset(room, 60 + sent % 100, buffer->bytesused);
    else
        memcpy(room, jpeg, jpeg_size);
    munmap(room, ROOM);
    buffer->index = index;
    buffer->flags = V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
    buffer->timestamp.tv_sec = (time_t)last;
    buffer->timestamp.tv_usec = (last - (time_t)last) * 1e6;
    buffer->sequence = sent++;
    return 0;
}

int ioctl(int file, unsigned long request, ...) {
    va_list more;
    va_start(more, request);
    void *argument = va_arg(more, void *);
    va_end(more);
    if (file < 0 || file != camera)
        return ((int (*)(int, unsigned long, ...))dlsym(RTLD_NEXT, "ioctl"))(file, request, argument);
    switch (request & 0xffffffff) {
    case VIDIOC_QUERYCAP: {
        struct v4l2_capability *can = argument;
        memset(can, 0, sizeof *can);
        can->device_caps = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING;
        can->capabilities = can->device_caps | V4L2_CAP_DEVICE_CAPS;
        return 0;
    }
    case VIDIOC_G_INPUT:
        *(int *)argument = 0;
        return 0;
    case VIDIOC_ENUMINPUT:
        ((struct v4l2_input *)argument)->std = 0;
        return 0;
    case VIDIOC_G_FMT:
    case VIDIOC_S_FMT:
        return choose(argument);
    case VIDIOC_G_PARM:
    case VIDIOC_S_PARM: {
        struct v4l2_captureparm *capture = &((struct v4l2_streamparm *)argument)->parm.capture;
        capture->capability = V4L2_CAP_TIMEPERFRAME;
        capture->timeperframe = (struct v4l2_fract){1, rate()};
        return 0;
    }
    case VIDIOC_REQBUFS: {
        struct v4l2_requestbuffers *wanted = argument;
        if (wanted->count > BUFFERS) wanted->count = BUFFERS;
        first = after = 0;
        return 0;
    }
    case VIDIOC_QUERYBUF: {
        struct v4l2_buffer *buffer = argument;
        buffer->length = ROOM;
        buffer->m.offset = buffer->index * ROOM;
        return 0;
    }
    case VIDIOC_QBUF:
        queue[after++ % SLOTS] = ((struct v4l2_buffer *)argument)->index;
        return 0;
    case VIDIOC_DQBUF:
        return dequeue(argument);
    case VIDIOC_STREAMON:
        return behaves("crowded") || (raw() && behaves("full")) ? fail(ENOSPC) : 0;
    case VIDIOC_STREAMOFF:
        return 0;
    default:
        return fail(ENOTTY);
    }
}
