//! From the function to a function and an entry in the list of tests.

use crate::options::Options;
use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::parse::Parser;
use syn::{Error, ItemFn};

/// Expands the attribute.
///
/// # Errors
///
/// When the item is no function that a test can be.
pub fn guest_test(arguments: TokenStream, item: TokenStream) -> Result<TokenStream, Error> {
    let mut options = Options::default();
    syn::meta::parser(|meta| options.take_argument(&meta)).parse2(arguments)?;
    let mut function: ItemFn = syn::parse2(item)?;
    check(&function)?;
    let attributes = std::mem::take(&mut function.attrs);
    for attribute in attributes {
        if !options.take_attribute(&attribute)? {
            function.attrs.push(attribute);
        }
    }

    let name = &function.sig.ident;
    let text = |text: &Option<String>| match text {
        Some(text) => quote!(::core::option::Option::Some(#text)),
        None => quote!(::core::option::Option::None),
    };
    let (ignore, should_panic) = (text(&options.ignore), text(&options.should_panic));
    let vcpus = options.vcpus.unwrap_or(1);
    let memory = options.memory.unwrap_or(0);
    // The build script of a guest says whether this build is one with tests.
    Ok(quote! {
        #[cfg(guest_test)]
        const _: () = {
            #[used]
            #[unsafe(link_section = "paravane_tests")]
            static TEST: &::paravane_sdk::test::GuestTest = &::paravane_sdk::test::GuestTest {
                path: ::core::concat!(::core::module_path!(), "::", ::core::stringify!(#name)),
                run: || ::paravane_sdk::test::Outcome::check(#name()),
                ignore: #ignore,
                should_panic: #should_panic,
                vcpus: #vcpus,
                memory: #memory,
            };
        };

        #[cfg(guest_test)]
        #function
    })
}

/// Refuses what cannot be called without anything.
fn check(function: &ItemFn) -> Result<(), Error> {
    let signature = &function.sig;
    let refuse = |what: &dyn ToTokens, message| Err(Error::new_spanned(what, message));
    if !signature.inputs.is_empty() {
        return refuse(&signature.inputs, "a guest test has no arguments");
    }
    if !signature.generics.params.is_empty() {
        return refuse(&signature.generics, "a guest test is not generic");
    }
    if let Some(asyncness) = &signature.asyncness {
        return refuse(asyncness, "a guest test is not async");
    }
    if let Some(unsafety) = &signature.unsafety {
        return refuse(unsafety, "a guest test is a safe function");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(arguments: &str, item: &str) -> Result<String, String> {
        let parse = |text: &str| {
            text.parse::<TokenStream>()
                .map_err(|error| error.to_string())
        };
        guest_test(parse(arguments)?, parse(item)?)
            .map(|tokens| tokens.to_string())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_function_stays_with_its_other_attributes() {
        let tokens = expanded("", "#[inline] fn adds() { body() }").unwrap();
        assert!(
            tokens.contains("# [inline] fn adds () { body () }"),
            "{tokens}"
        );
        assert!(tokens.contains("stringify ! (adds)"), "{tokens}");
    }

    #[test]
    fn the_attributes_of_rusts_own_tests_are_understood() {
        let tokens = expanded("", "#[ignore = \"slow\"] #[should_panic] fn f() {}").unwrap();
        assert!(tokens.contains("Some (\"slow\")"), "{tokens}");
        assert!(tokens.contains("should_panic : :: core :: option :: Option :: Some (\"\")"));
        let tokens = expanded("", "#[should_panic(expected = \"full\")] fn f() {}").unwrap();
        assert!(tokens.contains("Some (\"full\")"), "{tokens}");
    }

    #[test]
    fn a_test_says_what_machine_it_needs() {
        let tokens = expanded("vcpus = 2, memory = 64", "fn f() {}").unwrap();
        assert!(tokens.contains("vcpus : 2u32"), "{tokens}");
        assert!(tokens.contains("memory : 64u32"), "{tokens}");
    }

    #[test]
    fn what_cannot_be_a_test_is_refused() {
        for (arguments, item, message) in [
            ("", "fn f(x: u32) {}", "a guest test has no arguments"),
            ("", "fn f<T>() {}", "a guest test is not generic"),
            ("", "async fn f() {}", "a guest test is not async"),
            ("", "unsafe fn f() {}", "a guest test is a safe function"),
            ("cpus = 2", "fn f() {}", "guest_test takes `vcpus = N`"),
            ("vcpus = many", "fn f() {}", "expected integer literal"),
            (
                "",
                "#[should_panic(text = \"x\")] fn f() {}",
                "should_panic takes",
            ),
        ] {
            let error = expanded(arguments, item).unwrap_err();
            assert!(error.contains(message), "{item}: {error}");
        }
    }
}
