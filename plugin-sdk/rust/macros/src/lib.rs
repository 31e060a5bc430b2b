//! The attribute macros of the Portcullis SDK: `plugin` splits one impl block into the traits of the hooks and exports
//! those that stand in it; `config` and `state` derive what such types need. They know names, no types.

mod data;
mod hook;
mod plugin;

use proc_macro::TokenStream;

/// Makes a component of the `impl Plugin for ..` block under it: the methods of that block decide which hooks it has.
///
/// Arguments, all optional: `name = ".."` and `version = ".."` (from Cargo.toml when left out), `label(security)` or
/// `label(key = "value")`, `state_version = 2` (a change of it clears `shared` at a reload), `tick_ms = 1000`, and
/// `schema = "schema.json"`: the component carries that file in place of the code that derives the schema, which saves
/// about 120 KB; the plugin's tests check the file and write it when `PORTCULLIS_BLESS` is set.
#[proc_macro_attribute]
pub fn plugin(arguments: TokenStream, item: TokenStream) -> TokenStream {
    plugin::expand(arguments.into(), item.into())
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

/// Derives `Deserialize` and `JsonSchema` for a configuration type: keys in kebab-case, unknown keys refused. Serde
/// attributes that stand on the type win over these.
#[proc_macro_attribute]
pub fn config(arguments: TokenStream, item: TokenStream) -> TokenStream {
    data::config(&arguments.into(), item.into())
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

/// Derives `Serialize` and `Deserialize` for a type that is kept from hook to hook.
#[proc_macro_attribute]
pub fn state(arguments: TokenStream, item: TokenStream) -> TokenStream {
    data::state(&arguments.into(), item.into())
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}
