//! Links the chosen CPython and tells the code its version.
//!
//! `use_pyo3_cfgs` gives `cfg(Py_3_12)`, `cfg(Py_3_13)`; the rpath argument writes the directory of
//! that Python's shared library into the module, so that the server's loader finds it.
//! `PYO3_PYTHON` chooses the interpreter (the Makefile sets it from `PYTHON=`).

fn main() {
    pyo3_build_config::use_pyo3_cfgs();
    pyo3_build_config::add_libpython_rpath_link_args();
    // Its threads run until the process ends, so its code must stay where it is: newer servers close
    // their modules' libraries while they shut down.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
