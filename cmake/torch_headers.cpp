// Nothing but the headers that MestreDependencies.cmake has compiled for it.
