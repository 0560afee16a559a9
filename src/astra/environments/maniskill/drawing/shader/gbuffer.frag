#version 450

// The second half of our own shader: plain colors, lit by one lamp and a bright sky. It has no textures, mirrors and
// shadows, which a processor would take ten seconds to compile and much of each frame to draw.

layout(set = 0, binding = 0) uniform CameraBuffer {
  mat4 viewMatrix;
  mat4 projectionMatrix;
  mat4 viewMatrixInverse;
  mat4 projectionMatrixInverse;
  float width;
  float height;
} cameraBuffer;

layout(set = 1, binding = 0) uniform ObjectTransformBuffer {
  mat4 modelMatrix;
} objectTransformBuffer;

layout(set = 1, binding = 1) uniform ObjectDataBuffer {
  uvec4 segmentation;
  float transparency;
  int shadeFlat;
} objectDataBuffer;

layout(set = 2, binding = 0) uniform MaterialBuffer {
  vec4 emission;
  vec4 baseColor;
  float fresnel;
  float roughness;
  float metallic;
  float transmission;
  float ior;
  float transmissionRoughness;
  int textureMask;
  int padding1;
  vec4 textureTransforms[6];
} materialBuffer;

struct Lamp {
  vec4 position;
  vec4 emission;
};

struct Sun {
  vec4 direction;
  vec4 emission;
};

struct Spot {
  vec4 position;
  vec4 direction;
  vec4 emission;
};

layout(set = 3, binding = 0) uniform SceneBuffer {
  vec4 ambientLight;
  Lamp pointLights[10];
  Sun directionalLights[3];
  Spot spotLights[10];
  Spot texturedLights[1];
} sceneBuffer;

layout(location = 0) in vec3 worldNormal;

layout(location = 0) out vec4 outColor;

const vec3 LAMP = normalize(vec3(-0.4, 0.5, 0.9)); // where the light comes from

void main() {
  vec3 normal = normalize(worldNormal);
  float light = 0.55 + 0.15 * normal.z + 0.45 * max(dot(normal, LAMP), 0.0);
  outColor = vec4(pow(clamp(light * materialBuffer.baseColor.rgb, 0.0, 1.0), vec3(1 / 2.2)), 1);
}
