#ifndef PARAVANE_H
#define PARAVANE_H

#ifdef __ASSEMBLER__
#define PV_U64(number) number
#define PV_PIN_SIZE(name, size)
#define PV_PIN_OFFSET(name, field, offset)
#else
#include <stddef.h>
#include <stdint.h>

#if !defined(__x86_64__)
#error "Paravane guests are x86-64 programs"
#endif

#define PV_U64(number) UINT64_C(number)

#ifdef __cplusplus
#define PV_ASSERT(condition, message) static_assert(condition, message)
#else
#define PV_ASSERT(condition, message) _Static_assert(condition, message)
#endif

/* A layout that these refuse is not the published one: the compiler lays structs out
   differently from the x86-64 System V ABI, or packing is in force. */
#define PV_PIN_SIZE(name, size) PV_ASSERT(sizeof(struct name) == (size), "size of " #name)
#define PV_PIN_OFFSET(name, field, offset) \
    PV_ASSERT(offsetof(struct name, field) == (offset), "offset of " #name "." #field)

/* A guest-physical address, in bytes. */
typedef uint64_t pv_gpa_t;
#endif
