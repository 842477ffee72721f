# What every board freezes: the library, and what a board runs.
package("ikev2", base_path="../lib")
package("ipsec", base_path="../lib")
module("main.py", base_path="frozen")
module("ikev2_main.py")
module("ikev2_config.py")
module("ikev2_network.py")
