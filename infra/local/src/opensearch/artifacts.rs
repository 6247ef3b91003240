//! What the server is assembled from.

use std::fmt;

/// The release of OpenSearch that is fetched; of the version that the domain in AWS has.
pub const VERSION: &str = "3.3.0";

/// A file of Maven Central.
#[derive(Debug)]
pub(super) struct Artifact {
    group: &'static str,
    name: &'static str,
    version: &'static str,
    packaging: &'static str,
    /// What the file must be.
    pub(super) sha256: &'static str,
    /// Where it goes.
    pub(super) place: Place,
}

impl Artifact {
    /// Its file's name, such as `asm-9.7.jar`.
    pub(super) fn file_name(&self) -> String {
        format!("{}-{}.{}", self.name, self.version, self.packaging)
    }

    /// Where a Maven repository has it, such as `org/ow2/asm/asm/9.7/asm-9.7.jar`. Source: Maven's
    /// documentation, "Repository layout", default.
    pub(super) fn path(&self) -> String {
        let (group, file) = (self.group.replace('.', "/"), self.file_name());
        format!("{group}/{}/{}/{file}", self.name, self.version)
    }
}

impl fmt::Display for Artifact {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            group,
            name,
            version,
            packaging,
            ..
        } = self;
        write!(formatter, "{group}:{name}:{version}:{packaging}")
    }
}

/// Where a file goes in the server's folder.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    /// Unpacked: the folder itself.
    Distribution,
    /// Unpacked in the plugin's folder.
    Plugin(&'static str),
    /// As it is in the module's folder.
    Module(&'static str),
}

const PAINLESS: Place = Place::Module("lang-painless");
const REINDEX: Place = Place::Module("reindex");

/// The distribution first: what follows goes into it.
pub(super) const ARTIFACTS: [Artifact; 20] = [
    Artifact {
        group: "org.opensearch.distribution.integ-test-zip",
        name: "opensearch",
        version: "3.3.0",
        packaging: "zip",
        sha256: "c3a6bf825ea05b8d9fe3758dad70ed198cf9c365700895165d310a0a9e7f48a5",
        place: Place::Distribution,
    },
    Artifact {
        group: "org.opensearch.plugin",
        name: "opensearch-knn",
        version: "3.3.0.0",
        packaging: "zip",
        sha256: "f331324e6cb3a99f780579eec751b1e3ac38ffdd1c7d8ec82247e7584f06b3d3",
        place: Place::Plugin("opensearch-knn"),
    },
    Artifact {
        group: "org.opensearch.plugin",
        name: "lang-painless",
        version: "3.3.0",
        packaging: "jar",
        sha256: "1f1731d2d93dd4c578b7f55b66a4e69bdaeabc5158c0cdf3e934be9366a21a44",
        place: PAINLESS,
    },
    Artifact {
        group: "org.opensearch.plugin",
        name: "opensearch-scripting-painless-spi",
        version: "3.3.0",
        packaging: "jar",
        sha256: "8126078ec894e77560a7a6c76e097ffee818af0c439a05c9f873aa0b35b4e537",
        place: PAINLESS,
    },
    Artifact {
        group: "org.antlr",
        name: "antlr4-runtime",
        version: "4.13.1",
        packaging: "jar",
        sha256: "54665d2838cc66458343468efc539e454fc95b46a8a04b13c6ac43fc9be63505",
        place: PAINLESS,
    },
    Artifact {
        group: "org.ow2.asm",
        name: "asm",
        version: "9.7",
        packaging: "jar",
        sha256: "adf46d5e34940bdf148ecdd26a9ee8eea94496a72034ff7141066b3eea5c4e9d",
        place: PAINLESS,
    },
    Artifact {
        group: "org.ow2.asm",
        name: "asm-tree",
        version: "9.7",
        packaging: "jar",
        sha256: "62f4b3bc436045c1acb5c3ba2d8ec556ec3369093d7f5d06c747eb04b56d52b1",
        place: PAINLESS,
    },
    Artifact {
        group: "org.ow2.asm",
        name: "asm-commons",
        version: "9.7",
        packaging: "jar",
        sha256: "389bc247958e049fc9a0408d398c92c6d370c18035120395d4cba1d9d9304b7a",
        place: PAINLESS,
    },
    Artifact {
        group: "org.ow2.asm",
        name: "asm-analysis",
        version: "9.7",
        packaging: "jar",
        sha256: "7bc6bcbc21379948a0c8c467fb0f864206e5b818f6bc0b546872f5c9f941556f",
        place: PAINLESS,
    },
    Artifact {
        group: "org.ow2.asm",
        name: "asm-util",
        version: "9.7",
        packaging: "jar",
        sha256: "37a6414d36641973f1af104937c95d6d921b2ddb4d612c66c5a9f2b13fc14211",
        place: PAINLESS,
    },
    Artifact {
        group: "org.opensearch.plugin",
        name: "reindex-client",
        version: "3.3.0",
        packaging: "jar",
        sha256: "5192583d9dbc1804e7966076db9d6221330075777459ff6abf6cc1d88034248c",
        place: REINDEX,
    },
    Artifact {
        group: "org.opensearch.client",
        name: "opensearch-rest-client",
        version: "3.3.0",
        packaging: "jar",
        sha256: "3ea830b1ca781071cc4e733eb83caa3c562785db0084db6e151430154dd494a5",
        place: REINDEX,
    },
    Artifact {
        group: "org.opensearch",
        name: "opensearch-ssl-config",
        version: "3.3.0",
        packaging: "jar",
        sha256: "64fde1aed57121ea675eca662e9086c53bcf3b99d6872bbdd94fa699d886910b",
        place: REINDEX,
    },
    Artifact {
        group: "org.apache.httpcomponents.client5",
        name: "httpclient5",
        version: "5.4.4",
        packaging: "jar",
        sha256: "3f8657eab91b7533e5cf232d4e268253c4ff9f99f1e4bcd67841618bed67f2de",
        place: REINDEX,
    },
    Artifact {
        group: "org.apache.httpcomponents.core5",
        name: "httpcore5",
        version: "5.3.4",
        packaging: "jar",
        sha256: "f2b2fd7a0164e8c3120cd8437bc9fea439239e165c17262b3e907daa7e979f80",
        place: REINDEX,
    },
    Artifact {
        group: "org.apache.httpcomponents.core5",
        name: "httpcore5-h2",
        version: "5.3.4",
        packaging: "jar",
        sha256: "1fb4f34e4b612e7c127ad693335583587850b17ce9b1c366f9de1ca49fe2c781",
        place: REINDEX,
    },
    Artifact {
        group: "org.apache.httpcomponents.core5",
        name: "httpcore5-reactive",
        version: "5.3.4",
        packaging: "jar",
        sha256: "10f327ae48668105b89205fb0177f66a33040b0af4455aa68ff383d3ba7c0cb5",
        place: REINDEX,
    },
    Artifact {
        group: "commons-codec",
        name: "commons-codec",
        version: "1.18.0",
        packaging: "jar",
        sha256: "ba005f304cef92a3dede24a38ad5ac9b8afccf0d8f75839d6c1338634cf7f6e4",
        place: REINDEX,
    },
    Artifact {
        group: "commons-logging",
        name: "commons-logging",
        version: "1.2",
        packaging: "jar",
        sha256: "daddea1ea0be0f56978ab3006b8ac92834afeefbd9b7e4e6316fca57df0fa636",
        place: REINDEX,
    },
    Artifact {
        group: "org.slf4j",
        name: "slf4j-api",
        version: "2.0.17",
        packaging: "jar",
        sha256: "7b751d952061954d5abfed7181c1f645d336091b679891591d63329c622eb832",
        place: REINDEX,
    },
];

/// A folder of jars that the server loads as a part of itself.
#[derive(Debug)]
pub(super) struct Module {
    /// Its name and folder.
    pub(super) name: &'static str,
    class: &'static str,
    /// What its code may do.
    pub(super) policy: &'static str,
}

/// The modules that the minimal distribution lacks.
pub(super) const MODULES: [Module; 2] = [
    Module {
        name: "lang-painless",
        class: "org.opensearch.painless.PainlessModulePlugin",
        policy: r#"grant {
  permission java.lang.RuntimePermission "createClassLoader";
  permission java.lang.RuntimePermission "getClassLoader";
  permission org.opensearch.script.ClassPermission "<<STANDARD>>";
};
"#,
    },
    Module {
        name: "reindex",
        class: "org.opensearch.index.reindex.ReindexModulePlugin",
        policy: r#"grant {
  permission java.net.SocketPermission "*", "connect";
};
"#,
    },
];

impl Module {
    /// The file that describes the module to the server.
    pub(super) fn descriptor(&self) -> String {
        format!(
            "description={name}\nversion={VERSION}\nname={name}\nclassname={class}\njava.version=21\n\
             opensearch.version={VERSION}\ncustom.foldername=\nextended.plugins=\nhas.native.controller=false\n",
            name = self.name,
            class = self.class,
        )
    }
}
