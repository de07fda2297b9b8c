//! `#[guest_test]`: a function is a test that runs in a guest. `paravane_sdk::guest_test` is what
//! guests call it by, and says how it is used.

mod expand;
mod options;

use proc_macro::TokenStream;

/// Makes a function a test that runs in a guest; see `paravane_sdk::guest_test`.
#[proc_macro_attribute]
pub fn guest_test(options: TokenStream, item: TokenStream) -> TokenStream {
    expand::guest_test(options.into(), item.into())
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}
