#ifndef __ASSEMBLER__
/*
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
PV_ASSERT(sizeof(struct pv_note_section) == 24 + sizeof(struct pv_image_note),
          "the note section has no padding");

/*
 * Makes the program a Paravane image. To be used once, outside of functions:
 *
 *     PV_IMAGE_NOTE("hello", 65536,
 *                   .required_features = PV_FEATURE_CONSOLE,
 *                   .minimum_memory = 8 << 20,
 *                   .minimum_vcpus = 1, .maximum_vcpus = 1);
 *
 * NAME is a string literal of at most 32 bytes (31 in C++), STACK_SIZE the size of the boot
 * stack. What follows initializes fields of struct pv_image_note, in their order;
 * maximum_vcpus must be among them, and what is not is 0.
 */
#define PV_IMAGE_NOTE(NAME, STACK_SIZE, ...)                                              \
    PV_ASSERT((STACK_SIZE) >= PV_STACK_SIZE_MIN && (STACK_SIZE) <= PV_STACK_SIZE_MAX &&   \
                  (STACK_SIZE) % PV_PAGE_SIZE == 0,                                       \
              "the stack size must be a multiple of PV_PAGE_SIZE from "                   \
              "PV_STACK_SIZE_MIN to PV_STACK_SIZE_MAX");                                  \
    PV_ASSERT(sizeof(NAME) <= 33, "the name must be at most 32 bytes long");              \
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
            .reserved = 0,                                                                \
            __VA_ARGS__,                                                                  \
            .stack_size = (STACK_SIZE),                                                   \
            .name = NAME,                                                                 \
        }                                                                                 \
    }
#endif
