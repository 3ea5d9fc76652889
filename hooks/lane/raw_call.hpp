#pragma once

/// A system call without the C library: nothing that a program may have put in front of its
/// functions runs, and errno stays as it is.
namespace stemma::hooks {

// NOLINTNEXTLINE(readability-function-size): a system call has six arguments
inline long raw_call(long number, long a, long b, long c, long d = 0, long e = 0, long f = 0)
{
#if defined(__x86_64__)
    register long fourth asm("r10") = d;
    register long fifth asm("r8") = e;
    register long sixth asm("r9") = f;
    long result = number;
    asm volatile("syscall"
                 : "+a"(result)
                 : "D"(a), "S"(b), "d"(c), "r"(fourth), "r"(fifth), "r"(sixth)
                 : "rcx", "r11", "memory");
    return result;
#elif defined(__aarch64__)
    register long call asm("x8") = number;
    register long first asm("x0") = a;
    register long second asm("x1") = b;
    register long third asm("x2") = c;
    register long fourth asm("x3") = d;
    register long fifth asm("x4") = e;
    register long sixth asm("x5") = f;
    asm volatile("svc 0"
                 : "+r"(first)
                 : "r"(call), "r"(second), "r"(third), "r"(fourth), "r"(fifth), "r"(sixth)
                 : "memory");
    return first;
#else
#error "tell how this architecture calls its kernel"
#endif
}

template <typename T>
long raw(T* pointer)
{
    return reinterpret_cast<long>(pointer);
}

/// True for what stands for a negative errno.
inline bool is_error(long result)
{
    constexpr long last = -4095;
    return result < 0 && result >= last;
}

} // namespace stemma::hooks
