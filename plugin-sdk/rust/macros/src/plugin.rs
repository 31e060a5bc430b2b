//! `#[portcullis::plugin]`: splits the impl block and exports what stood in it.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};
use syn::parse::Parser;
use syn::{Error, FnArg, ImplItem, ImplItemFn, ItemImpl, Lit, Meta, Result, ReturnType, Token};

use crate::hook::{HOOKS, Hook, OWN};

/// The arguments of the attribute.
#[derive(Default)]
struct Arguments {
    name: Option<TokenStream>,
    version: Option<TokenStream>,
    labels: Vec<TokenStream>,
    tick_ms: Option<TokenStream>,
    schema: Option<syn::LitStr>,
}

pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let mut arguments = arguments_of(arguments)?;
    let schema = arguments.schema.take();
    let about = arguments.into_about();
    let mut block: ItemImpl = syn::parse2(item)?;
    check_block(&block)?;
    let this = block.self_ty.clone();

    let mut hooks = Vec::new();
    let mut own = Vec::new();
    let mut problems: Option<Error> = None;
    for part in std::mem::take(&mut block.items) {
        match part {
            ImplItem::Fn(method) => match HOOKS.iter().find(|hook| method.sig.ident == hook.method) {
                Some(hook) => match hook_impl(hook, method, &this) {
                    Ok(tokens) => hooks.push((*hook, tokens)),
                    Err(error) => merge(&mut problems, error),
                },
                None if OWN.iter().any(|name| method.sig.ident == name) => own.push(ImplItem::Fn(method)),
                None => merge(&mut problems, unknown(&method.sig.ident)),
            },
            other => own.push(other),
        }
    }
    if let Some(error) = problems {
        return Err(error);
    }

    let config = default_type(&own, "Config", &quote!(::portcullis::NoConfig));
    let state = default_type(&own, "State", &quote!(()));
    let (schema, schema_test) = match schema {
        Some(path) => schema_from(&path, &this, &own)?,
        None => (TokenStream::new(), TokenStream::new()),
    };
    block.items = own;
    let ItemImpl {
        attrs,
        generics,
        trait_,
        items,
        ..
    } = &block;
    let path = trait_.as_ref().map(|(_, path, _)| path);
    let (_, _, bounds) = generics.split_for_impl();
    let implementations = hooks.iter().map(|(_, tokens)| tokens);
    let modules = hooks.iter().map(|(hook, _)| format_ident!("{}", hook.module));
    let exports = hooks
        .iter()
        .map(|(hook, _)| format_ident!("__export_{}", hook.module));
    Ok(quote! {
        #(#attrs)*
        impl #path for #this #bounds {
            #config
            #state
            const ABOUT: ::portcullis::About = #about;
            #schema
            #(#items)*
        }

        #(#implementations)*

        #schema_test

        #[cfg(target_arch = "wasm32")]
        const _: () = {
            ::std::thread_local! {
                static SLOT: ::portcullis::export::Slot<#this> = const { ::portcullis::export::Slot::new() };
            }

            impl ::portcullis::export::Instance for #this {
                fn with<R>(call: impl ::core::ops::FnOnce(&::portcullis::export::Slot<Self>) -> R) -> R {
                    SLOT.with(call)
                }
            }

            type Exported = ::portcullis::export::Exported<#this>;
            ::portcullis::export::plugin::__export_plugin!(Exported with_types_in ::portcullis::export::plugin);
            #(::portcullis::export::#modules::#exports!(Exported with_types_in ::portcullis::export::#modules);)*
        };
    })
}

/// The impl of one hook's trait, from the method as it was written.
fn hook_impl(hook: &Hook, mut method: ImplItemFn, this: &syn::Type) -> Result<TokenStream> {
    let expected = hook.parameters.len();
    let signature = &mut method.sig;
    let has_self = signature.receiver().is_some();
    let given = signature.inputs.len().saturating_sub(usize::from(has_self));
    if !has_self || given < expected || given > expected + usize::from(hook.keeps) {
        let state = if hook.keeps {
            ", and a state: Option<State> after them if wanted"
        } else {
            ""
        };
        let parameters = hook.parameters.iter().map(|parameter| format!(", {parameter}"));
        let parameters: String = parameters.collect();
        return Err(Error::new_spanned(
            &signature.inputs,
            format!("{} takes (&mut self{parameters}){state}", hook.method),
        ));
    }

    let fetch = (given > expected).then(|| signature.inputs.pop()).flatten();
    let fetch = match fetch.map(syn::punctuated::Pair::into_value) {
        Some(FnArg::Typed(parameter)) => {
            let (pattern, of_type) = (parameter.pat, parameter.ty);
            quote!(let #pattern: #of_type = __kept.get();)
        }
        _ => TokenStream::new(),
    };
    if hook.keeps {
        let kept: FnArg =
            syn::parse_quote!(__kept: ::portcullis::Kept<<#this as ::portcullis::Plugin>::State>);
        if !signature.inputs.trailing_punct() {
            signature
                .inputs
                .push_punct(Token![,](proc_macro2::Span::call_site()));
        }
        signature.inputs.push_value(kept);
    }

    let output = match &signature.output {
        ReturnType::Default => quote!(()),
        ReturnType::Type(_, of_type) => quote!(#of_type),
    };
    signature.output = ReturnType::Type(
        Token![->](proc_macro2::Span::call_site()),
        Box::new(syn::parse_quote!(#output)),
    );
    let of_trait = format_ident!("{}", hook.of_trait);
    let ImplItemFn {
        attrs, sig, block, ..
    } = method;
    let statements = block.stmts;
    let unused = (hook.keeps && fetch.is_empty()).then(|| quote!(let _ = __kept;));
    Ok(quote! {
        impl ::portcullis::hooks::#of_trait for #this {
            type Output = #output;

            #(#attrs)*
            #sig {
                #unused
                #fetch
                #(#statements)*
            }
        }
    })
}

/// `schema = "FILE"`: the component carries the file's text, not the code that derives it, and a test keeps both equal.
fn schema_from(path: &syn::LitStr, this: &syn::Type, own: &[ImplItem]) -> Result<(TokenStream, TokenStream)> {
    if own
        .iter()
        .any(|item| matches!(item, ImplItem::Fn(method) if method.sig.ident == "schema"))
    {
        return Err(Error::new_spanned(
            path,
            "the schema is given twice: here and by fn schema",
        ));
    }
    let file = quote!(::core::concat!(::core::env!("CARGO_MANIFEST_DIR"), "/", #path));
    let schema = quote! {
        #[cfg(target_arch = "wasm32")]
        fn schema() -> ::std::string::String {
            ::std::string::String::from(::core::include_str!(#file))
        }
    };
    let test = quote! {
        #[cfg(test)]
        mod portcullis_schema {
            use super::*;

            #[test]
            fn is_current() {
                ::portcullis::testing::check_schema::<<#this as ::portcullis::Plugin>::Config>(#file);
            }
        }
    };
    Ok((schema, test))
}

fn check_block(block: &ItemImpl) -> Result<()> {
    let is_plugin = block
        .trait_
        .as_ref()
        .and_then(|(_, path, _)| path.segments.last())
        .is_some_and(|segment| segment.ident == "Plugin");
    if !is_plugin {
        return Err(Error::new_spanned(
            &block.self_ty,
            "#[portcullis::plugin] stands on `impl Plugin for ..`",
        ));
    }
    if !block.generics.params.is_empty() {
        return Err(Error::new_spanned(
            &block.generics,
            "a plugin has no generic parameters",
        ));
    }
    Ok(())
}

fn unknown(method: &Ident) -> Error {
    let hooks: Vec<_> = HOOKS.iter().map(|hook| hook.method).collect();
    let message = format!(
        "`{method}` is neither a hook nor a method of Plugin; the hooks are {}; Plugin has {}",
        hooks.join(", "),
        OWN.join(", "),
    );
    Error::new_spanned(method, message)
}

fn merge(problems: &mut Option<Error>, error: Error) {
    match problems {
        Some(first) => first.combine(error),
        None => *problems = Some(error),
    }
}

/// `type NAME = DEFAULT;` unless the block has such a type.
fn default_type(items: &[ImplItem], name: &str, default: &TokenStream) -> TokenStream {
    if items
        .iter()
        .any(|item| matches!(item, ImplItem::Type(of_type) if of_type.ident == name))
    {
        return TokenStream::new();
    }
    let name = format_ident!("{name}");
    quote!(type #name = #default;)
}

fn arguments_of(tokens: TokenStream) -> Result<Arguments> {
    let metas = syn::punctuated::Punctuated::<Meta, Token![,]>::parse_terminated.parse2(tokens)?;
    let mut arguments = Arguments::default();
    for meta in metas {
        match &meta {
            Meta::NameValue(pair) if pair.path.is_ident("name") => arguments.name = Some(text(&pair.value)?),
            Meta::NameValue(pair) if pair.path.is_ident("version") => {
                arguments.version = Some(text(&pair.value)?)
            }
            Meta::NameValue(pair) if pair.path.is_ident("schema") => {
                arguments.schema = Some(syn::parse2(text(&pair.value)?)?);
            }
            Meta::NameValue(pair) if pair.path.is_ident("tick_ms") => {
                arguments.tick_ms = Some(number(&pair.value)?)
            }
            Meta::NameValue(pair) if pair.path.is_ident("state_version") => {
                let value = number(&pair.value)?.to_string();
                arguments.labels.push(quote!(("state-version", #value)));
            }
            Meta::List(list) if list.path.is_ident("label") => {
                let labels =
                    list.parse_args_with(syn::punctuated::Punctuated::<Meta, Token![,]>::parse_terminated)?;
                for label in &labels {
                    arguments.labels.push(label_of(label)?);
                }
            }
            other => {
                return Err(Error::new_spanned(
                    other,
                    "expected name = \"..\", version = \"..\", label(..), schema = \"FILE\", state_version = N or tick_ms = N",
                ));
            }
        }
    }
    Ok(arguments)
}

/// `security` is the label `security` = `true`; `key = "value"` is itself. Names in kebab-case.
fn label_of(meta: &Meta) -> Result<TokenStream> {
    let key = meta.path().require_ident()?.to_string().replace('_', "-");
    match meta {
        Meta::Path(_) => Ok(quote!((#key, "true"))),
        Meta::NameValue(pair) => {
            let value = text(&pair.value)?;
            Ok(quote!((#key, #value)))
        }
        Meta::List(list) => Err(Error::new_spanned(list, "a label is a name or name = \"value\"")),
    }
}

fn text(value: &syn::Expr) -> Result<TokenStream> {
    match value {
        syn::Expr::Lit(literal) if matches!(literal.lit, Lit::Str(_)) => Ok(quote!(#literal)),
        other => Err(Error::new_spanned(other, "expected a string")),
    }
}

fn number(value: &syn::Expr) -> Result<TokenStream> {
    match value {
        syn::Expr::Lit(literal) if matches!(literal.lit, Lit::Int(_)) => Ok(quote!(#literal)),
        other => Err(Error::new_spanned(other, "expected a whole number")),
    }
}

impl Arguments {
    /// The expression for `Plugin::ABOUT`.
    fn into_about(self) -> TokenStream {
        let name = self
            .name
            .unwrap_or_else(|| quote!(::core::env!("CARGO_PKG_NAME")));
        let version = self
            .version
            .unwrap_or_else(|| quote!(::core::env!("CARGO_PKG_VERSION")));
        let tick_ms = self.tick_ms.unwrap_or_else(|| quote!(0));
        let labels = self.labels;
        quote! {
            ::portcullis::About {
                name: #name,
                version: #version,
                tick_ms: #tick_ms,
                labels: &[#(#labels),*],
            }
        }
    }
}

#[cfg(test)]
mod tests;
