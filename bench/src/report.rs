//! The page and its plots, from the results.

mod behind;
mod page;
mod plots;
mod rows;
mod tables;
mod unit;

#[cfg(test)]
mod tests_data;

pub use page::page;
pub use plots::plots;
