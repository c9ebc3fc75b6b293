//! Sets of properties and of goals, small enough to be carried by every state.

use kontiki_specs::{Goal, Property};

macro_rules! set_of {
    ($(#[$meta:meta])* $name:ident($bits:ty) of $item:ident) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        pub struct $name($bits);

        impl $name {
            /// Nothing.
            pub const EMPTY: $name = $name(0);

            /// Adds an item.
            pub fn insert(&mut self, item: $item) {
                self.0 |= 1 << item as u32;
            }

            /// Adds an item if a condition holds.
            pub fn insert_if(&mut self, condition: bool, item: $item) {
                if condition {
                    self.insert(item);
                }
            }

            /// Adds all items of another set.
            pub fn extend(&mut self, other: $name) {
                self.0 |= other.0;
            }

            /// Whether the item is in the set.
            pub fn contains(self, item: $item) -> bool {
                self.0 & (1 << item as u32) != 0
            }

            /// Whether the set is empty.
            pub fn is_empty(self) -> bool {
                self.0 == 0
            }

            /// One bit for each item, in the order of their declaration.
            pub fn bits(self) -> $bits {
                self.0
            }

            /// What both sets hold.
            #[must_use]
            pub fn intersection(self, other: $name) -> $name {
                $name(self.0 & other.0)
            }

            /// The items, in the order of their declaration.
            pub fn iter(self) -> impl Iterator<Item = $item> {
                $item::ALL.iter().copied().filter(move |item| self.contains(*item))
            }
        }

        impl FromIterator<$item> for $name {
            fn from_iter<I: IntoIterator<Item = $item>>(items: I) -> Self {
                let mut set = $name::EMPTY;
                items.into_iter().for_each(|item| set.insert(item));
                set
            }
        }
    };
}

set_of! {
    /// A set of properties, of those that are broken as a rule.
    PropertySet(u64) of Property
}

set_of! {
    /// A set of goals, of those that are reached as a rule.
    GoalSet(u128) of Goal
}
