#include "stemma/analyzer/vm_features.hpp"
#include "stemma/core/error.hpp"
#include "stemma/support/errors.hpp"

#include <catch2/catch.hpp>

using namespace stemma;
using namespace stemma::analyzer;

TEST_CASE("what the hypervisor says of a VM becomes features")
{
    FeatureSet set;
    set.features = vm_features(R"(<domain type='kvm'><name>x</name>
<memory unit='KiB'>98304</memory><vcpu placement='static'>2</vcpu>
<os firmware='efi'><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os>
<features><acpi/><vmcoreinfo state='on'/></features>
<devices>
<disk type='file' device='disk'><driver name='qemu' type='qcow2' cache='none'/>
<source file='/x.qcow2'/><target dev='vda' bus='virtio'/><readonly/>
<iotune><total_iops_sec>100</total_iops_sec></iotune></disk>
<interface type='network'><mac address='52:54:00:00:00:01'/><source network='default'/>
<model type='virtio'/></interface>
<channel type='unix'><target type='virtio' name='org.stemma.guest.0'/></channel>
<watchdog model='i6300esb' action='reset'/></devices></domain>)");
    set.arrange();
    CHECK(set.value_of("vm", "", "memory_mib") == "96");
    CHECK(set.value_of("vm", "", "vcpus") == "2");
    CHECK(set.value_of("vm", "", "firmware") == "efi");
    CHECK(set.value_of("vm", "", "machine") == "pc-q35-7.2");
    CHECK(set.value_of("vm", "disk[vda]", "cache") == "none");
    CHECK(set.value_of("vm", "disk[vda]", "read_only") == "true");
    CHECK(set.value_of("vm", "disk[vda]", "limit/total_iops_sec") == "100");
    CHECK(set.value_of("vm", "interface[0]", "model") == "virtio");
    CHECK(set.value_of("vm", "interface[0]", "network") == "default");
    CHECK(set.value_of("vm", "watchdog[0]", "action") == "reset");
    CHECK(set.value_of("vm", "features", "vmcoreinfo") == "on");
    CHECK(set.find("vm", "channel[org.stemma.guest.0]", "present") != nullptr);
}

TEST_CASE("what is no domain is refused")
{
    CHECK(support::error_of([] { vm_features("<network/>"); })->code() == ErrorCode::corrupt);
    CHECK(support::error_of([] { vm_features("<domain"); })->code() == ErrorCode::corrupt);
}
