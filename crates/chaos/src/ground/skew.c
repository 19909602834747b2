/* Clocks of one process that go at another rate or are set anew: loaded in front of the C library (LD_PRELOAD).
 *
 * The page named by PITCHOVER_CHAOS_CLOCK says what to tell; its layout stands in skew.rs. Monotonic clocks follow a line
 * told = base_told + (true - base_true) * (1 + rate); civil clocks are as much ahead, and by the jump on top of it.
 *
 * Waits until a moment are translated back, or a thread would sleep until the kernel's clock shows what only ours shows.
 * Rust's standard library has one such wait: FUTEX_WAIT_BITSET through syscall(2). Waits for a length of time are left
 * alone: they end by the kernel's clock, and whoever waited looks at the clock again.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

#define SECOND 1000000000LL
#define MILLION 1000000LL

struct page {
    uint64_t sequence; /* odd while it is written */
    int64_t base_true, base_told, rate_ppm, jump;
    uint64_t reads; /* from here on written by this side */
    int64_t ahead, jumped;
};

static struct page *page;
static int (*true_gettime)(clockid_t, struct timespec *);
static long (*true_syscall)(long, long, long, long, long, long, long);

__attribute__((constructor)) static void begin(void) {
    true_gettime = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    true_syscall = (long (*)(long, long, long, long, long, long, long))dlsym(RTLD_NEXT, "syscall");
    const char *path = getenv("PITCHOVER_CHAOS_CLOCK");
    int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *at = file < 0 ? MAP_FAILED : mmap(0, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    page = at == MAP_FAILED ? 0 : at;
}

/* A copy of what the page says that was not changed meanwhile. */
static struct page look(void) {
    struct page seen;
    uint64_t before;
    do {
        before = __atomic_load_n(&page->sequence, __ATOMIC_ACQUIRE);
        seen = *(volatile struct page *)page;
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
    } while ((before & 1) || before != __atomic_load_n(&page->sequence, __ATOMIC_RELAXED));
    return seen;
}

static int64_t nanoseconds(const struct timespec *time) { return time->tv_sec * SECOND + time->tv_nsec; }

static void put(struct timespec *time, int64_t value) {
    time->tv_sec = value / SECOND;
    time->tv_nsec = value % SECOND;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    if (!true_gettime) begin();
    int failed = true_gettime(clock, time);
    if (failed || !page) return failed;
    int is_civil = clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE || clock == CLOCK_TAI;
    int is_steady = clock == CLOCK_MONOTONIC || clock == CLOCK_MONOTONIC_RAW || clock == CLOCK_MONOTONIC_COARSE ||
                    clock == CLOCK_BOOTTIME;
    if (!is_civil && !is_steady) return 0; /* processor time and the like */
    struct timespec steady = *time;
    if (clock != CLOCK_MONOTONIC && (failed = true_gettime(CLOCK_MONOTONIC, &steady))) return failed;
    struct page seen = look();
    int64_t now = nanoseconds(&steady), passed = now - seen.base_true;
    int64_t ahead = seen.base_told - seen.base_true + (int64_t)((__int128)passed * seen.rate_ppm / MILLION);
    put(time, nanoseconds(time) + ahead + (is_civil ? seen.jump : 0));
    __atomic_fetch_add(&page->reads, 1, __ATOMIC_RELAXED);
    __atomic_store_n(&page->ahead, ahead, __ATOMIC_RELAXED);
    __atomic_store_n(&page->jumped, seen.jump, __ATOMIC_RELAXED);
    return 0;
}

/* Variadic in the C library; what a caller did not give is not looked at by the kernel. */
long syscall(long number, long a, long b, long c, long d, long e, long f) {
    if (!true_syscall) begin();
    struct timespec until;
    int is_moment = number == SYS_futex && (b & FUTEX_CMD_MASK) == FUTEX_WAIT_BITSET && !(b & FUTEX_CLOCK_REALTIME) && d;
    if (is_moment && page) {
        struct page seen = look();
        int64_t told = nanoseconds((const struct timespec *)d) - seen.base_told;
        int64_t moment = seen.base_true + (int64_t)((__int128)told * MILLION / (MILLION + seen.rate_ppm));
        put(&until, moment < 0 ? 0 : moment);
        d = (long)&until;
    }
    return true_syscall(number, a, b, c, d, e, f);
}
