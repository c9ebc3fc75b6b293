//! Clusters and drivers at random, with the model beside each server.

mod drivers;
mod simulate;
