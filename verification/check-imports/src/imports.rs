//! The paths that a file names, resolved to the crate's root.

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, File, ImplItem, Item, ItemMod, ItemUse, Local, Macro, Meta, UseTree};

/// Every path in `file` that begins with `crate`, `self`, `super` or the name of a child module, without code that is
/// compiled for tests or for the documentation only.
///
/// `module` is the path of the file's module. The results are paths below the crate's root, with the name of the item.
pub(crate) fn imports_of(file: &File, module: &[String]) -> Vec<Vec<String>> {
    let mut collector =
        Collector { module: module.to_vec(), children: children(&file.items), paths: Vec::new() };
    collector.visit_file(file);
    collector.paths
}

fn children(items: &[Item]) -> Vec<String> {
    let modules = items.iter().filter_map(|item| match item {
        Item::Mod(module) => Some(module.ident.to_string()),
        _ => None,
    });
    modules.collect()
}

struct Collector {
    module: Vec<String>,
    /// The modules that the current module declares: a path may begin with one of them.
    children: Vec<String>,
    paths: Vec<Vec<String>>,
}

impl Collector {
    fn add(&mut self, segments: &[String]) {
        let Some(first) = segments.first() else { return };
        let mut base = match first.as_str() {
            "crate" => Vec::new(),
            "self" | "super" => self.module.clone(),
            child if self.children.iter().any(|known| known == child) => {
                let mut path = self.module.clone();
                path.push(child.to_owned());
                path
            }
            _ => return,
        };
        // `self` alone names this module, which is no import.
        let mut rest = segments;
        while let [next, tail @ ..] = rest {
            match next.as_str() {
                "super" => {
                    base.pop();
                }
                "crate" | "self" => {}
                name if rest.len() == segments.len() && self.children.iter().any(|child| child == name) => {}
                name => base.push(name.to_owned()),
            }
            rest = tail;
        }
        self.paths.push(base);
    }

    fn add_tree(&mut self, tree: &UseTree, prefix: &mut Vec<String>) {
        match tree {
            UseTree::Path(path) => {
                prefix.push(path.ident.to_string());
                self.add_tree(&path.tree, prefix);
                prefix.pop();
            }
            UseTree::Name(name) => self.add_leaf(prefix, &name.ident.to_string()),
            UseTree::Rename(rename) => self.add_leaf(prefix, &rename.ident.to_string()),
            UseTree::Glob(_) => self.add_leaf(prefix, "self"),
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.add_tree(tree, prefix);
                }
            }
        }
    }

    /// `use a::b::{self}` imports `a::b`.
    fn add_leaf(&mut self, prefix: &[String], name: &str) {
        let mut path = prefix.to_vec();
        if name != "self" {
            path.push(name.to_owned());
        }
        self.add(&path);
    }

    /// Paths in the tokens of a macro: `crate::a::b`, `super::c`.
    fn add_tokens(&mut self, tokens: TokenStream) {
        let mut current: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.finish(&mut current);
                    }
                    current.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Group(group) => {
                    self.finish(&mut current);
                    colons = 0;
                    self.add_tokens(group.stream());
                }
                _ => {
                    self.finish(&mut current);
                    colons = 0;
                }
            }
        }
        self.finish(&mut current);
    }

    fn finish(&mut self, current: &mut Vec<String>) {
        let path = std::mem::take(current);
        if path.len() > 1 {
            self.add(&path);
        }
    }
}

impl<'ast> Visit<'ast> for Collector {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_left_out(item_attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        let attributes: &[Attribute] = match item {
            ImplItem::Fn(function) => &function.attrs,
            ImplItem::Const(constant) => &constant.attrs,
            _ => &[],
        };
        if !is_left_out(attributes) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_local(&mut self, local: &'ast Local) {
        if !is_left_out(&local.attrs) {
            visit::visit_local(self, local);
        }
    }

    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        let Some((_, items)) = &module.content else { return };
        self.module.push(module.ident.to_string());
        let outer = std::mem::replace(&mut self.children, children(items));
        for item in items {
            self.visit_item(item);
        }
        self.children = outer;
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        if item.leading_colon.is_none() {
            self.add_tree(&item.tree, &mut Vec::new());
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.leading_colon.is_none() && path.segments.len() > 1 {
            let segments: Vec<String> =
                path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            self.add(&segments);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, found: &'ast Macro) {
        self.add_tokens(found.tokens.clone());
    }

    // `pub(in crate::producer)` is no import.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    // Documentation may link anywhere.
    fn visit_attribute(&mut self, _: &'ast Attribute) {}
}

fn item_attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// Whether the item is compiled for tests or for the documentation only: `#[cfg(test)]`, `#[cfg(all(test, …))]`,
/// `#[cfg(doc)]`.
fn is_left_out(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("cfg") => is_only_for_tests(list.tokens.clone()),
        _ => false,
    })
}

fn is_only_for_tests(condition: TokenStream) -> bool {
    let tokens: Vec<TokenTree> = condition.into_iter().collect();
    match tokens.as_slice() {
        [TokenTree::Ident(name)] => *name == "test" || *name == "doc",
        [TokenTree::Ident(all), TokenTree::Group(group)] if *all == "all" => {
            let mut parts = vec![TokenStream::new()];
            for token in group.stream() {
                match &token {
                    TokenTree::Punct(punct) if punct.as_char() == ',' => parts.push(TokenStream::new()),
                    _ => {
                        if let Some(part) = parts.last_mut() {
                            part.extend([token]);
                        }
                    }
                }
            }
            parts.into_iter().any(is_only_for_tests)
        }
        _ => false,
    }
}
