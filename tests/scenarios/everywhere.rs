//! Where a scenario runs: on the core and in the module, as Envoy and as nginx.

/// Runs scenarios, functions over any [`Edge`], natively and in the module, as Envoy and as nginx.
#[macro_export]
macro_rules! everywhere {
    ($($scenario:ident),+ $(,)?) => {
        $crate::everywhere!(@as core_as_envoy, $crate::native::Native, Envoy, $($scenario),+);
        $crate::everywhere!(@as core_as_nginx, $crate::native::Native, Nginx, $($scenario),+);
        $crate::everywhere!(@as module_in_envoy, $crate::module::Module, Envoy, $($scenario),+);
        $crate::everywhere!(@as module_in_nginx, $crate::module::Module, Nginx, $($scenario),+);
        $crate::everywhere!(@as core_with_lanes, $crate::native::NativeWith::<4>, Nginx, $($scenario),+);
        $crate::everywhere!(@as module_with_lanes, $crate::module::ModuleWith::<4>, Nginx, $($scenario),+);
    };
    (@as $name:ident, $edge:ty, $profile:ident, $($scenario:ident),+) => {
        mod $name {
            $(
                #[test]
                fn $scenario() {
                    super::$scenario::<$edge>(test_host::Profile::$profile);
                }
            )+
        }
    };
}

/// Runs scenarios of mode `rewrite` on the core and in the module; each in the hosts that bear it.
#[macro_export]
macro_rules! at_a_target {
    ($($profile:ident as $core:ident, $module:ident: $($scenario:ident),+ $(,)?;)+) => {$(
        $crate::everywhere!(@as $core, $crate::native::Native, $profile, $($scenario),+);
        $crate::everywhere!(@as $module, $crate::module::Module, $profile, $($scenario),+);
    )+};
}

/// Runs scenarios of mode `sign` on the core and in the module, as Envoy: the mode is refused on nginx.
#[macro_export]
macro_rules! at_the_gate {
    ($($scenario:ident),+ $(,)?) => {
        mod core {
            $(#[test] fn $scenario() { super::$scenario::<$crate::native::Native>(); })+
        }
        mod module_in_envoy {
            $(#[test] fn $scenario() { super::$scenario::<$crate::module::Module>(); })+
        }
    };
}
