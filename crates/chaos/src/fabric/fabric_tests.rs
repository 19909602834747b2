//! Two hosts over the real kernel: random bytes come through whole, a cut pair hears nothing, and nothing is
//! left behind. Without root there is nothing to drive, and that is what is asserted.

use super::{Effect, Fabric, Home, Hosts, Rule, Tun};
use crate::draw::Draw;
use crate::ground::namespace::{self, Namespaces, furnish};
use std::net::{Ipv4Addr, UdpSocket};

const ONE: Ipv4Addr = Ipv4Addr::new(10, 77, 9, 1);
const TWO: Ipv4Addr = Ipv4Addr::new(10, 77, 9, 2);
const PORT: u16 = 7_777;

/// A socket inside a namespace; it stays there whoever holds it.
fn socket(inside: &str, address: Ipv4Addr) -> UdpSocket {
    let inside = inside.to_owned();
    let bound = std::thread::Builder::new().spawn(move || {
        namespace::enter(&inside).expect("the namespace was made above");
        UdpSocket::bind((address, PORT)).expect("the address was given above")
    });
    bound.unwrap().join().unwrap()
}

#[test]
fn packets_go_where_the_rules_let_them() {
    if !rustix::process::geteuid().is_root() {
        assert!(Tun::open("tun-refused").is_err());
        return;
    }
    let run = std::process::id();
    let home = |part: &str, address| Home {
        namespace: namespace::name(run, part),
        addresses: vec![address],
    };
    let homes = [home("n0", ONE), home("n1", TWO)];
    let mut namespaces = Namespaces::default();
    for home in &homes {
        namespaces.add(&home.namespace).unwrap();
    }
    let fabric = Fabric::start(&homes, Draw::new(1)).unwrap();
    for home in &homes {
        furnish(home).unwrap();
    }
    let (one, two) = (socket(&homes[0].namespace, ONE), socket(&homes[1].namespace, TWO));
    let mut draw = Draw::new(2);
    let mut buffer = [0; 2048];
    for _ in 0..500 {
        let length = draw.index(1_400);
        let sent: Vec<u8> = (0..length).map(|_| u8::try_from(draw.below(256)).unwrap()).collect();
        one.send_to(&sent, (TWO, PORT)).unwrap();
        let (received, from) = two.recv_from(&mut buffer).unwrap();
        assert_eq!((&buffer[..received], from.ip()), (&*sent, ONE.into()));
    }
    let cut = fabric.add(Rule::new(&Hosts::from([ONE]), &Hosts::from([TWO]), Effect::Cut));
    one.send_to(b"cut", (TWO, PORT)).unwrap();
    // The other direction is open, and shows that the fabric had its turn.
    two.send_to(b"open", (ONE, PORT)).unwrap();
    assert_eq!(one.recv_from(&mut buffer).unwrap().0, 4);
    one.send_to(b"cut", (TWO, PORT)).unwrap();
    while fabric.shared.rules().fitted(cut) < 2 {
        std::thread::yield_now();
    }
    assert_eq!(fabric.remove(cut).unwrap().sum().dropped, 2);
    one.send_to(b"healed", (TWO, PORT)).unwrap();
    let received = two.recv_from(&mut buffer).unwrap().0;
    assert_eq!(&buffer[..received], b"healed");
    drop((fabric, namespaces));
    for home in &homes {
        assert!(namespace::enter(&home.namespace).is_err(), "{} is left", home.namespace);
    }
}
