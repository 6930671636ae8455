//! A real name server: dnsmasq.
