//! `config` and `state`: derives by the SDK's own serde and schemars, so that a plugin needs neither as a dependency.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, Data, DeriveInput, Error, Result, Token, punctuated::Punctuated};

pub(crate) fn config(arguments: &TokenStream, item: TokenStream) -> Result<TokenStream> {
    let input = parse(arguments, item)?;
    let mut serde = vec![quote!(crate = "::portcullis::serde")];
    if !mentions(&input.attrs, &["rename_all", "untagged", "transparent"]) {
        serde.push(quote!(rename_all = "kebab-case"));
    }
    let open = ["deny_unknown_fields", "untagged", "transparent"];
    if matches!(input.data, Data::Struct(_)) && !mentions(&input.attrs, &open) {
        serde.push(quote!(deny_unknown_fields));
    }
    Ok(quote! {
        #[derive(::portcullis::serde::Deserialize, ::portcullis::schemars::JsonSchema)]
        #[serde(#(#serde),*)]
        #[schemars(crate = "::portcullis::schemars")]
        #input
    })
}

pub(crate) fn state(arguments: &TokenStream, item: TokenStream) -> Result<TokenStream> {
    let input = parse(arguments, item)?;
    Ok(quote! {
        #[derive(::portcullis::serde::Serialize, ::portcullis::serde::Deserialize)]
        #[serde(crate = "::portcullis::serde")]
        #input
    })
}

fn parse(arguments: &TokenStream, item: TokenStream) -> Result<DeriveInput> {
    if !arguments.is_empty() {
        return Err(Error::new_spanned(arguments, "this attribute takes no arguments"));
    }
    syn::parse2(item)
}

/// Whether a `#[serde(..)]` on the type names one of these keys.
fn mentions(attributes: &[Attribute], keys: &[&str]) -> bool {
    attributes
        .iter()
        .filter(|attribute| attribute.path().is_ident("serde"))
        .any(|attribute| {
            attribute
                .parse_args_with(Punctuated::<syn::Meta, Token![,]>::parse_terminated)
                .is_ok_and(|metas| {
                    metas
                        .iter()
                        .any(|meta| keys.iter().any(|key| meta.path().is_ident(key)))
                })
        })
}
