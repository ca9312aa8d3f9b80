// The colours of GPU models: the one list, which the kernel reads too.
// Distinct for the common kinds of colour blindness, and readable on white and on black.
export const PALETTE = ["#3052db", "#f95e60", "#6fbc04", "#944497", "#5a96ff", "#5e6600", "#aa3b57"];
