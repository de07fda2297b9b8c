//! The parts of the header that are the same whatever is defined.

pub(super) const START: &str = "\
#ifndef PARAVANE_H
#define PARAVANE_H

#include <stddef.h>
#include <stdint.h>

/* A guest-physical address, in bytes. */
typedef uint64_t pv_gpa_t;

/* A layout that these refuse is not the published one: the compiler lays structs out
   differently from the x86-64 System V ABI, or packing is in force. */
#define PV_PIN_SIZE(name, size) \\
    _Static_assert(sizeof(struct name) == (size), \"size of \" #name)
#define PV_PIN_OFFSET(name, field, offset) \\
    _Static_assert(offsetof(struct name, field) == (offset), \"offset of \" #name \".\" #field)";

pub(super) const IMAGE_NOTE: &str = r#"/*
 * The bytes of the note section. Packed to the 4-byte alignment of ELF notes; no field
 * is out of its own alignment in the section.
 */
struct pv_note_section {
    uint32_t name_size;
    uint32_t descriptor_size;
    uint32_t kind;
    /* Eight characters, the NUL, and padding to a multiple of four. */
    char owner[12];
    struct pv_image_note descriptor;
} __attribute__((packed, aligned(4)));
_Static_assert(sizeof(struct pv_note_section) == 24 + sizeof(struct pv_image_note),
               "the note section has no padding");

/*
 * Makes the program a Paravane image. To be used once, outside of functions:
 *
 *     PV_IMAGE_NOTE("hello", 65536,
 *                   .minimum_memory = 8 << 20,
 *                   .minimum_vcpus = 1, .maximum_vcpus = 1,
 *                   .required_features = PV_FEATURE_CONSOLE);
 *
 * NAME is a string literal of at most 32 bytes, STACK_SIZE the size of the boot stack.
 * What follows initializes fields of struct pv_image_note; maximum_vcpus must be among
 * them, and what is not is 0.
 */
#define PV_IMAGE_NOTE(NAME, STACK_SIZE, ...)                                              \
    _Static_assert((STACK_SIZE) >= PV_STACK_SIZE_MIN &&                                   \
                       (STACK_SIZE) <= PV_STACK_SIZE_MAX &&                               \
                       (STACK_SIZE) % PV_PAGE_SIZE == 0,                                  \
                   "the stack size must be a multiple of PV_PAGE_SIZE from "              \
                   "PV_STACK_SIZE_MIN to PV_STACK_SIZE_MAX");                             \
    _Static_assert(sizeof(NAME) <= 33, "the name must be at most 32 bytes long");         \
    /* Without the alignment GCC takes more than readers of notes understand. */          \
    __attribute__((section(".note.Paravane"), used, aligned(4)))                          \
    static const struct pv_note_section pv_image_note_section = {                         \
        .name_size = sizeof(PV_NOTE_OWNER),                                               \
        .descriptor_size = sizeof(struct pv_image_note),                                  \
        .kind = PV_NOTE_TYPE,                                                             \
        .owner = PV_NOTE_OWNER,                                                           \
        .descriptor = {                                                                   \
            .abi_major = PV_ABI_MAJOR,                                                    \
            .abi_minor = PV_ABI_MINOR,                                                    \
            .stack_size = (STACK_SIZE),                                                   \
            .name = NAME,                                                                 \
            __VA_ARGS__                                                                   \
        }                                                                                 \
    }"#;

pub(super) const HYPERCALL: &str = r#"#if !defined(__x86_64__)
#error "Paravane guests are x86-64 programs"
#endif

/*
 * Makes the call WORD through the hypercall page at PAGE (pv_start_info.hypercall_page).
 * Returns RAX: zero or more for success, a negated PV_E* for failure.
 *
 * The call uses the stack below RSP, so it steps over the red zone that the compiler may
 * be using there.
 */
static inline int64_t pv_hypercall(const void *page, uint64_t word, uint64_t a1, uint64_t a2,
                                   uint64_t a3, uint64_t a4, uint64_t a5, uint64_t a6)
{
    register uint64_t r10 __asm__("r10") = a4;
    register uint64_t r8 __asm__("r8") = a5;
    register uint64_t r9 __asm__("r9") = a6;
    int64_t result;

    __asm__ volatile("leaq -128(%%rsp), %%rsp\n\t"
                     "call *%[page]\n\t"
                     "leaq 128(%%rsp), %%rsp"
                     : "=a"(result)
                     : [page] "r"(page), "a"(word), "D"(a1), "S"(a2), "d"(a3), "r"(r10),
                       "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory", "cc");
    return result;
}"#;

pub(super) const END: &str = "\
#undef PV_PIN_SIZE
#undef PV_PIN_OFFSET

#endif /* PARAVANE_H */";
