//! The entry macro: everything that has to be in the guest's own binary.

/// Makes a function the guest's main function, and the binary a Paravane image.
///
/// The function is a `fn()`, a `fn() -> i32` whose result is the guest's exit code (0 to 119,
/// see [`sched::shutdown`](crate::sched::shutdown)), or a `fn() -> !`. What the image asks the
/// VMM for can follow, each the name and arguments of a method of
/// [`Image`](crate::image::Image):
///
/// ```ignore
/// paravane_sdk::entry!(main, stack_size(1 << 20), requires(Features::BATCH));
/// ```
///
/// The macro defines the entry point `_start`, the image's note, the panic handler and the
/// global allocator, which are the binary's and not a library's to define.
#[macro_export]
macro_rules! entry {
    ($main:path $(, $option:ident ( $($value:expr),* $(,)? ))* $(,)?) => {
        const _: () = {
            #[cfg(all(not(panic = "abort"), not(test)))]
            compile_error!(
                "a Paravane guest cannot unwind: put `panic = \"abort\"` under [profile.dev] \
                 and [profile.release] in Cargo.toml"
            );

            #[used]
            #[unsafe(link_section = ".note.Paravane")]
            static NOTE: $crate::abi::image_note::NoteSection =
                $crate::image::Image::new(env!("CARGO_PKG_NAME"))
                    $(.$option($($value),*))*
                    .note();

            #[global_allocator]
            static HEAP: $crate::heap::Heap = $crate::heap::Heap;

            #[panic_handler]
            fn panicked(info: &::core::panic::PanicInfo<'_>) -> ! {
                $crate::panic::panicked(info)
            }

            // At the entry RSP is the top of the stack, 16-byte aligned, as before a call, and
            // RDI the first argument. No caller: a backtrace ends here.
            #[unsafe(naked)]
            #[unsafe(no_mangle)]
            extern "C" fn _start() -> ! {
                ::core::arch::naked_asm!(
                    ".cfi_startproc",
                    ".cfi_undefined rip",
                    "xor ebp, ebp",
                    "call {start}",
                    "ud2",
                    ".cfi_endproc",
                    start = sym start,
                )
            }

            extern "C" fn start(info: *const $crate::abi::start_info::StartInfo) -> ! {
                if cfg!(guest_test) {
                    // SAFETY: as below.
                    unsafe { $crate::rt::run(info, $crate::test::main as fn() -> i32) }
                }
                // SAFETY: only the entry point calls this function, with what it was given.
                unsafe { $crate::rt::run(info, $main as fn() -> _) }
            }
        };
    };
}
