/* What mono and the runtime of D ask, and programs are not given: where the first thread's stack lies, which the C
   library looks up in /proc; mono asks another priority too, and without it complains on standard output. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/resource.h>
#include <unistd.h>

extern void *__libc_stack_end;

int pthread_getattr_np(pthread_t thread, pthread_attr_t *attributes) {
    if (gettid() != getpid() || !pthread_equal(thread, pthread_self())) {
        int (*own)(pthread_t, pthread_attr_t *) = dlsym(RTLD_NEXT, "pthread_getattr_np");
        return own(thread, attributes);
    }
    struct rlimit limit;
    size_t size = 8 << 20, page = sysconf(_SC_PAGESIZE);
    if (getrlimit(RLIMIT_STACK, &limit) == 0 && limit.rlim_cur < ((rlim_t)1 << 30)) size = limit.rlim_cur & ~(page - 1);
    uintptr_t top = ((uintptr_t)__libc_stack_end + page) & ~(uintptr_t)(page - 1);
    pthread_attr_init(attributes);
    return pthread_attr_setstack(attributes, (void *)(top - size), size);
}

int pthread_setschedparam(pthread_t thread, int policy, const struct sched_param *wanted) {
    return 0;
}
