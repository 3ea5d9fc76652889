#include <exception>
#include <iostream>

#include "server.hpp"
#include "shop/config.hpp"

int main(int argc, char** argv)
{
    try {
        const auto config = shop::load_config(argc > 1 ? argv[1] : "/etc/shop/shop.conf");
        std::cout << config.greeting << ": " << config.address << ":" << config.port << ", "
                  << config.workers << " workers" << std::endl;
        shop::serve(config);
    } catch (const std::exception& error) {
        std::cerr << "shopd: " << error.what() << '\n';
        return 1;
    }
}
